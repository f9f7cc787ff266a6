"""Deprecated: ``Chart`` and ``chart_of`` are in ``nflows_spread.chart``."""

from typing import Any

from nflows_spread.deprecation import moved


def __getattr__(name: str) -> Any:
    return moved(__name__, name, now="nflows_spread.chart", names=("Chart", "chart_of"))
