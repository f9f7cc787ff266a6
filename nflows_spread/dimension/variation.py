"""Data of mixed dimension: whether local dimensions have several modes, as those of a curve beside a blob have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nflows_spread.dimension.distinct_points import without_repeats
from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS
from nflows_spread.dimension.neighbour_search import neighbours_among
from nflows_spread.dimension.neighbours import MOST_OF_NEIGHBOURS, neighbour_dimension
from nflows_spread.dimension.noisy_neighbours import log_plausibilities
from nflows_spread.dimension.pointwise import local_estimates, whole_dimensions
from nflows_spread.dimension.rules import PLAUSIBLE
from nflows_spread.dimension.tangent_spaces import tangent_spaces
from nflows_spread.linalg.distances import Neighbours

_POINTS = 2_000
"""Distinct points that are used, at most: a choice, for time."""

_SMALLEST = 0.05
"""The smallest share of the points that counts as a part of its own: a choice; not measured."""

_BANDWIDTH = 1.3
"""The standard deviation of the kernel that smooths the density of the logarithms of local estimates, in nats, times
the root of the number of points. By trials on unions of two or three pieces and on sets of one dimension, 0.03 and 0.05
of 2 000 and of 600 points."""

_VALLEY = 0.5
"""The density between two modes over that of the lower one, a ratio, up to which they are two parts. By trials on the
same sets, 0.4 to 0.6: of 520 sets of one dimension, of densities that vary too, none has parts of 2 000 points and two
of 600; of 150 unions 143 and 136 have."""

_OF_ALL = 1.0 / 3.0
"""The share of the points from which on parts of a dimension, or of more, decide that of all. A choice: that of a union
is that of its largest member, and a few outliers are no member."""

_RATIO = 1.2
"""The ratio of two parts' dimensions, at the least: local estimates of evenly spaced points hardly vary. A choice."""


@dataclass(frozen=True)
class Part:
    """A part of a data set.

    Attributes:
        dimension: that of its points by themselves.
        share: of all points.
        interval: the smallest and the largest dimension that are plausible, or None where nobody asked.
    """

    dimension: int
    share: float
    interval: tuple[int, int] | None = None


def said_of_parts(parts: Sequence[Part]) -> str:
    """A sentence about data in parts."""
    first, *between, last = (f"{part.dimension} at {part.share:.0%}" for part in parts)
    return (
        "the dimension varies from place to place: about "
        f"{', '.join([f'{first} of the points', *between])} and {last}; see pointwise_dimension, or fit the parts by "
        "themselves"
    )


def dimension_of_parts(parts: Sequence[Part]) -> int:
    """That of their union: the largest dimension K such that parts of K and more have a third of the points.

    Args:
        parts: at least one, the lowest dimension first.
    """
    share = 0.0
    for part in reversed(parts):
        share += part.share
        if share >= _OF_ALL:
            return part.dimension
    return parts[0].dimension


def covered_by(parts: Sequence[Part]) -> list[int]:
    """The dimensions that an interval has to cover."""
    return [dimension for part in parts for dimension in (part.dimension, *(part.interval or ()))]


def parts_of(x: Tensor) -> tuple[Part, ...]:
    """The parts of a data set whose dimension varies, the lowest dimension first; none where it does not.

    The points are split where the density of the logarithms of their local dimensions has a valley between two modes.
    A density of points that varies and a curvature make local dimensions vary too, but leave one mode. The dimension
    of a part is then that of its points by themselves, by neighbours and tangent spaces.

    Args:
        x: points, shape (n, D), at least 50 of them distinct.

    References:
        J. Hartigan, Clustering algorithms, Wiley 1975 (modes of a density and the valleys between them).
    """
    points, _ = without_repeats(x)
    points = points[:: math.ceil(len(points) / _POINTS)]
    return parts_of_distinct(points, neighbours_among(points, points, LOCAL_NEIGHBOURS))


def parts_of_distinct(points: Tensor, nearest: Neighbours) -> tuple[Part, ...]:
    """The same of distinct points, (n, D), of which the nearest among themselves are known, 20 or more of each."""
    estimates = local_estimates(nearest)
    logs = estimates.log()
    cuts = _valleys(logs)
    if not len(cuts):
        return ()
    which = torch.bucketize(logs, cuts)
    local = whole_dimensions(estimates, *points.shape)
    found = [_part(points[which == part], local[which == part], len(points)) for part in range(len(cuts) + 1)]
    rising = all(lower.dimension < upper.dimension for lower, upper in pairwise(found))
    return tuple(found) if rising else ()


def _valleys(logs: Tensor) -> Tensor:
    """Where the kernel density of values has valleys between modes, ascending, (m,): such as are parts."""
    width = _BANDWIDTH / math.sqrt(len(logs))
    lowest, highest = float(logs.min()), float(logs.max())
    grid = torch.linspace(lowest, highest, 2 + math.ceil(2.0 * (highest - lowest) / width)).to(logs)
    heights = (-0.5 * ((logs.unsqueeze(1) - grid) / width).square()).exp().sum(0)
    counts = torch.bucketize(grid, logs.sort().values).tolist()  # of the values below each place
    cuts = [place for place in range(1, len(grid) - 1) if heights[place - 1] >= heights[place] < heights[place + 1]]
    while cuts:
        modes = list(pairwise([0, *cuts, len(grid) - 1]))
        tops = [start + int(heights[start : end + 1].argmax()) for start, end in modes]
        sizes = [counts[end] - counts[start] for start, end in modes]
        faults = []
        for place, cut in enumerate(cuts):
            lower, upper = tops[place : place + 2]
            small = min(sizes[place : place + 2]) < _SMALLEST * len(logs)
            near = float(grid[upper] - grid[lower]) < math.log(_RATIO)
            faults.append((small or near, float(heights[cut] / torch.minimum(heights[lower], heights[upper]))))
        worst = max(faults)
        if not worst[0] and worst[1] <= _VALLEY:
            break
        del cuts[faults.index(worst)]
    return grid[cuts]


def _part(points: Tensor, local: Tensor, count: int) -> Part:
    """What points, (m, D), of local dimensions (m,) are by themselves, among so many."""
    share = len(points) / count
    generator = torch.Generator().manual_seed(0)
    try:
        neighbours = neighbour_dimension(points, generator=generator)
    except ValueError:  # of few points too few may be left apart
        return Part(int(local.median()), share, (int(local.min()), int(local.max())))
    tangents = tangent_spaces(points, generator=generator)
    of_distances = [max(nats, -MOST_OF_NEIGHBOURS) for nats in log_plausibilities(neighbours, tangents)]
    evidence = [sum(nats) for nats in zip(of_distances, tangents.log_evidence, strict=True)]
    best = max(evidence)
    plausible = [dimension for dimension, nats in enumerate(evidence, 1) if nats >= best - PLAUSIBLE]
    return Part(1 + evidence.index(best), share, (plausible[0], plausible[-1]))
