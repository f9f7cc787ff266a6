"""Data of mixed dimension: whether local dimensions form two groups, as of a curve beside a blob (Otsu's threshold)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.dimension.pointwise import local_estimates, whole_dimensions

_POINTS = 2_000
"""Distinct points that are used, at most: a choice, for time."""

_SMALLEST = 0.1
"""The smallest share of the points that counts as a part of its own: a choice; not measured."""

_APART = 3.5
"""How far the mean logarithms of the two parts' local estimates lie apart, in units of the root of their summed
variances, where there are two: a quarter above the largest on the random sets of the benchmark, 2.8; 1 and 4 dimensions
give 12."""

_RATIO = 1.3
"""The ratio of the two dimensions, at the least: local estimates of evenly spaced points hardly vary. A choice."""


@dataclass(frozen=True)
class Part:
    """A part of a data set.

    Attributes:
        dimension: the median of its points' dimensions.
        share: of all points.
    """

    dimension: int
    share: float


def said_of_parts(parts: tuple[Part, ...]) -> str:
    """A sentence about data in two parts."""
    lower, upper = parts
    return (
        f"the dimension varies from place to place: about {lower.dimension} at {lower.share:.0%} of the points "
        f"and {upper.dimension} at {upper.share:.0%}; see pointwise_dimension, or fit the parts by themselves"
    )


def parts_of(x: Tensor) -> tuple[Part, ...]:
    """The two parts of a data set whose dimension varies, the lower dimension first; none where it does not.

    The points are split in two by the logarithm of their local dimension, with the largest variance between the parts
    (Otsu's threshold). They count if they are far apart beside what they vary by: a density that varies and a
    curvature make local estimates vary too, but do not make two groups.

    Args:
        x: points, shape (n, D), at least 50 of them distinct.

    References:
        N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9, 1979.
    """
    estimates, points = local_estimates(x, most=_POINTS)
    logs, order = estimates.log().sort()
    n, least = len(logs), max(1, int(_SMALLEST * len(logs)))
    below = torch.arange(1, n, dtype=logs.dtype, device=logs.device)
    sums = logs.cumsum(0)
    lower, upper = sums[:-1] / below, (sums[-1] - sums[:-1]) / (n - below)
    between = (below * (n - below) * (upper - lower).square())[least - 1 : n - least]
    cut = int(between.argmax()) + least
    distance = float(upper[cut - 1] - lower[cut - 1])
    within = float(logs[:cut].var(correction=0) + logs[cut:].var(correction=0))
    if distance < max(_APART * math.sqrt(within), math.log(_RATIO)):
        return ()
    whole = whole_dimensions(estimates, *points.shape)[order]
    found = (Part(int(whole[:cut].median()), cut / n), Part(int(whole[cut:].median()), 1.0 - cut / n))
    return found if found[0].dimension < found[1].dimension else ()
