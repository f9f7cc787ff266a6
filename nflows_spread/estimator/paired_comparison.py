"""Paired comparison of two charts: whether values, one a row, are larger beyond the standard error of differences."""

from __future__ import annotations

from torch import Tensor

from nflows_spread.linalg.paired_comparison import above_by

_CLEARLY = 3.0
"""Standard errors by which a chart must beat principal components on the compared rows: a choice. Two are too few, as
these rows have also stopped its training and chosen its penalties."""


def clearly_above(one: Tensor, other: Tensor) -> bool:
    """Whether values, one a row, are above others by three standard errors of the differences; not if any is nan."""
    return above_by(_CLEARLY, one, other)
