"""Calibration curves: which maximum-likelihood estimates sets of known dimension give, to compare other sets with."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor

from nflows_spread.dimension.maximum_likelihood import log_distances, maximum_likelihood, trimmed_estimates

MOST_POINTS = 10_000
"""Points of a set that a curve is made for, at most: a choice, for time."""

_SEED = 20_000
"""What is added to a dimension for the seed of its sample, so that a curve is always the same: a choice."""

_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21, 26, 35, 50, 70, 100, 140, 200, 300)
"""The dimensions of which samples are drawn, between which a curve is straight: a choice, steps of about a third."""

_LEAST = 0.1
"""The smallest dimension that is an answer: a bound, as the logarithm of an answer is taken; not measured."""

CalibrationCurve = Callable[[int], tuple[float, ...]]
"""K to the estimates, one for each number of neighbours and then the trimmed ones, that a set of dimension K gives."""


@lru_cache(maxsize=64)
def calibration_curve(shape: str, points: int) -> CalibrationCurve:
    """That of a shape of ``SHAPES`` at a number of points: the same every time, and each point of it made once."""

    @lru_cache
    def estimates_at(dimension: int) -> tuple[float, ...]:
        generator = torch.Generator().manual_seed(_SEED + dimension)
        logs = log_distances(SHAPES[shape](points, dimension, generator))
        return (*maximum_likelihood(logs)[0], *trimmed_estimates(logs))

    return estimates_at


def calibrated(curve: CalibrationCurve, estimates: list[float], features: int) -> tuple[float, ...]:
    """The dimension at which a shape gives each estimate, on the straight line between neighbours of a grid.

    Args:
        curve: of the shape.
        estimates: of the data, one for each number of neighbours.
        features: D; a shape is not asked for a dimension above 2D, and none above it is an answer.
    """
    return tuple(_dimension_at(curve, place, estimate, features) for place, estimate in enumerate(estimates))


def _dimension_at(curve: CalibrationCurve, k: int, estimate: float, features: int) -> float:
    # an estimate is below its dimension, so that the search starts at most one entry too low
    place = max(0, bisect_right(_GRID, estimate) - 1)
    lower, upper = (0.0, 0.0), (curve(_GRID[place])[k], float(_GRID[place]))
    while upper[0] < estimate and place + 1 < len(_GRID) and _GRID[place] < 2 * features:
        place += 1
        lower, upper = upper, (curve(_GRID[place])[k], float(_GRID[place]))
    slope = (upper[1] - lower[1]) / (upper[0] - lower[0])
    return min(max(lower[1] + slope * (estimate - lower[0]), _LEAST), 2.0 * features)


def _normal(points: int, dimension: int, generator: torch.Generator) -> Tensor:
    return torch.randn(points, dimension, generator=generator, dtype=torch.float64)


def _cube(points: int, dimension: int, generator: torch.Generator) -> Tensor:
    return torch.rand(points, dimension, generator=generator, dtype=torch.float64)


def _sphere(points: int, dimension: int, generator: torch.Generator) -> Tensor:
    directions = _normal(points, dimension + 1, generator)
    return directions / directions.norm(dim=1, keepdim=True)


SHAPES: Mapping[str, Callable[[int, int, torch.Generator], Tensor]] = MappingProxyType(
    {"normal": _normal, "cube": _cube, "sphere": _sphere}
)
"""(number of points, K, generator) to points on a set of dimension K: with tails, with edges, and with neither."""
