"""Subspaces on which two halves of neighbourhoods agree: within all D dimensions, within those, and so on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ALMOST = 0.8
"""The agreement of the largest subspace, of those that are more stable than the ones beside them, over that of the most
stable one, a ratio: a few directions that are wide beside all others are stable too. By trials on the same manifolds,
0.6 to 1."""

_LEAST = 0.2
"""The least agreement that is followed at all. A choice: less is hardly more than that of random subspaces."""


@dataclass(frozen=True)
class StableSubspace:
    """A subspace that two halves of a neighbourhood share.

    Attributes:
        dimension: K.
        agreement: (tr(P P′)/K − K/S) / (1 − K/S), P and P′ being the projections on the K leading axes of each half
            and S the next larger stable dimension: 1 for the same subspace, 0 for random ones within S dimensions.
    """

    dimension: int
    agreement: float


def stable_subspaces(agreement: Sequence[float], features: int) -> tuple[StableSubspace, ...]:
    """Within all D dimensions the largest subspace that is about as stable as any, within that one the next, and so on.

    Args:
        agreement: the mean of tr(P P′)/K for K = 1, 2, … D, or fewer, the last of which is all that halves span.
        features: D.
    """
    found, within = [], features
    known = agreement if len(agreement) == features else agreement[:-1]
    while within > 1:
        values = corrected(known, within)
        if max(values, default=0.0) < _LEAST:
            break
        within = _largest_peak(values) + 1
        found.append(StableSubspace(within, values[within - 1]))
    return tuple(found)


def corrected(agreement: Sequence[float], within: int) -> list[float]:
    """The agreement for K = 1 … S − 1, as far as it is known, less what random subspaces within S dimensions have."""
    return [(mean - k / within) / (1.0 - k / within) for k, mean in enumerate(agreement[: within - 1], start=1)]


def _largest_peak(values: Sequence[float]) -> int:
    """The last place where a value is no smaller than those beside it and almost as large as the largest."""
    padded = [-math.inf, *values, -math.inf]
    least = _ALMOST * max(values)
    return max(
        place
        for place, (before, value, after) in enumerate(zip(padded[:-2], values, padded[2:], strict=True))
        if value >= least and before <= value >= after
    )
