"""Deprecated: ``project``, ``reconstruct``, ``sample`` and ``manifold_log_prob`` are in ``nflows_spread`` itself."""

from nflows_spread.deprecation import moved_names

_NAMES = ("manifold_log_prob", "project", "reconstruct", "sample")

__getattr__ = moved_names(__name__, {name: f"nflows_spread.chart.{name}" for name in _NAMES})
