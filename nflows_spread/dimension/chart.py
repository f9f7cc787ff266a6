"""Deprecated: ``Chart`` and ``chart_of`` are in ``nflows_spread.chart``."""

from nflows_spread.deprecation import moved_names

__getattr__ = moved_names(__name__, {"Chart": "nflows_spread.chart.Chart", "chart_of": "nflows_spread.chart.chart_of"})
