"""Deprecated: ``project``, ``reconstruct``, ``sample`` and ``manifold_log_prob`` are in ``nflows_spread`` itself."""

from typing import Any

from nflows_spread.deprecation import moved

_NAMES = ("manifold_log_prob", "project", "reconstruct", "sample")


def __getattr__(name: str) -> Any:
    return moved(__name__, name, now="nflows_spread.chart", names=_NAMES)
