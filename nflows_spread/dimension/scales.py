"""Dimension against scale: the intrinsic dimension at growing distances between neighbours, by decimation.

With fewer points neighbours are farther apart, so that subsets tell the dimension at larger scales: there noise is
small and curvature, or an end of the data, is seen. DADApy draws the same curve from TwoNN and GRIDE.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.dimension.calibration_curve import SHAPES, calibrated, calibration_curve
from nflows_spread.dimension.maximum_likelihood import NEIGHBOURS, QUERIES, log_distances, maximum_likelihood

_OF_ALL, _OF_SUBSETS, _OF_SMALLEST = (3, 5, 10), (10,), (10, 20, 40)
"""The neighbours that tell the dimension of all points, of subsets, and of the smallest of them: a choice. By ten the
standard error is a third of that by three, and a subset of half has its tenth where all points have their twentieth."""

_Entry = tuple[float, float, float, int, int]
"""Scale, dimension, standard error, k and the number of points."""

_SMALLEST = 100
"""Points of a subset, at the least: a choice, twice those that any estimate takes."""


@dataclass(frozen=True)
class DimensionAgainstScale:
    """The dimension at each of several scales, smallest scale first.

    Attributes:
        scales: mean distance to the k-th neighbour, in units of the data.
        dimensions: K at that scale, not rounded, the geometric mean over the shapes of the calibration.
        standard_errors: of these, from the number of points and from what the shapes differ by.
        neighbours: k, the number of neighbours behind each.
        points: the number of points among which they were sought.
    """

    scales: tuple[float, ...]
    dimensions: tuple[float, ...]
    standard_errors: tuple[float, ...]
    neighbours: tuple[int, ...]
    points: tuple[int, ...]

    def in_units_of(self, scale: float) -> DimensionAgainstScale:
        """The same for data that is ``scale`` times larger."""
        return replace(self, scales=tuple(scale * each for each in self.scales))

    def lowest(self, share: float = 1.0) -> int:
        """The place of the lowest dimension by neighbours that are up to this share of the points."""
        local = [place for place, k in enumerate(self.neighbours) if k <= share * self.points[place]] or [0]
        return min(local, key=self.dimensions.__getitem__)

    def dip(self, deeper: float) -> int | None:
        """The place of the lowest dimension between a smaller and a larger scale, or None where it is no dip.

        Noise adds to the dimension at small scales, and what bends back at large ones: between the two it is nearest to
        the set's own.

        Args:
            deeper: by how much the dimension is more on either side, at the least, in nats.
        """
        between = range(1, len(self.dimensions) - 1)
        if not between:
            return None
        place = min(between, key=self.dimensions.__getitem__)
        level = math.exp(deeper) * self.dimensions[place]
        return place if self.dimensions[0] > level and max(self.dimensions[place + 1 :]) > level else None

    def at(self, scale: float) -> float:
        """The dimension at a scale, on the straight line between neighbours in its logarithm; at the ends theirs."""
        logs = [math.log(each) for each in self.scales]
        place, wanted = 0, math.log(scale)
        while place + 1 < len(logs) and logs[place + 1] <= wanted:
            place += 1
        if wanted <= logs[0] or place + 1 == len(logs):
            return self.dimensions[place]
        share = (wanted - logs[place]) / (logs[place + 1] - logs[place])
        return self.dimensions[place] + share * (self.dimensions[place + 1] - self.dimensions[place])


def dimension_against_scale(points: Tensor, logs: Tensor) -> DimensionAgainstScale:
    """The dimension of points at the scale of their nearest neighbours and, by halves of them, at larger ones.

    Each subset of n / 2ʲ points is one of the disjoint parts of the points in their order; of small ones there are as
    many as give 2 000 points to seek neighbours of.

    Args:
        points: distinct points in random order, (n, D), n at least 50.
        logs: logarithms of the distances of the first 2 000 to their 40 nearest neighbours among all.
    """
    features = points.shape[1]
    parts = _decimated(points, logs)
    return _joined([entry for logs, size, numbers in parts for entry in _entries(logs, size, numbers, features)])


def of_neighbours_alone(logs: Tensor, size: int, features: int) -> DimensionAgainstScale:
    """The same by all of ``NEIGHBOURS`` that are known and no subsets, where there are distances and no points.

    Args:
        logs: logarithms of distances to the nearest neighbours, (m, k), nearest first.
        size: the number of points among which they were sought.
        features: D.
    """
    return _joined(_entries(logs, size, NEIGHBOURS, features))


def _decimated(points: Tensor, of_all: Tensor) -> list[tuple[Tensor, int, Sequence[int]]]:
    """Logarithms of distances of points and of subsets, the size of these, and the neighbours to take."""
    found: list[tuple[Tensor, int, Sequence[int]]] = []
    levels = max(0, int(math.log2(len(points) / _SMALLEST)))
    for level in range(levels + 1):
        size = len(points) >> level
        parts = 1 if level == 0 else min(2**level, math.ceil(QUERIES / size))
        subsets = (points[part * size : (part + 1) * size] for part in range(parts))
        logs = of_all if level == 0 else torch.cat([log_distances(subset) for subset in subsets])
        numbers = {*(_OF_ALL if level == 0 else _OF_SUBSETS), *(_OF_SMALLEST if level == levels else ())}
        found.append((logs, size, sorted(numbers)))
    return found


def _entries(logs: Tensor, size: int, numbers: Sequence[int], features: int) -> list[_Entry]:
    """Scale, dimension, standard error, k and the number of points, for each k."""
    estimates, errors = maximum_likelihood(logs)
    profile = [calibrated(calibration_curve(shape, size), estimates, features) for shape in SHAPES]
    found = []
    for place, error in enumerate(errors):
        if (k := NEIGHBOURS[place]) not in numbers:
            continue
        of_shapes = [math.log(values[place]) for values in profile]
        dimension = math.exp(sum(of_shapes) / len(of_shapes))
        relative = math.hypot(error, 0.5 * (max(of_shapes) - min(of_shapes)))
        found.append((float(logs[:, k - 1].exp().mean()), dimension, relative * dimension, k, size))
    return found


def _joined(entries: list[_Entry]) -> DimensionAgainstScale:
    scales, dimensions, errors, neighbours, points = zip(*sorted(entries))
    return DimensionAgainstScale(scales, dimensions, errors, neighbours, points)
