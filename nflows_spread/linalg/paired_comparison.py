"""Paired comparison: whether values, one a row, are larger than others beyond the standard error of differences."""

from __future__ import annotations

from torch import Tensor


def standard_error(differences: Tensor) -> float:
    """Of the mean of differences, (n,)."""
    return float(differences.std()) / len(differences) ** 0.5


def above_by(standard_errors: float, one: Tensor, other: Tensor) -> bool:
    """Whether the mean of the first is above by so many of their differences; not if any is nan."""
    differences = one - other
    return float(differences.mean()) > standard_errors * standard_error(differences)
