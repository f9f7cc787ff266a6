"""What distances between neighbours say about sets of known dimension, so that other sets can be compared with them."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import torch
from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

NEIGHBOURS = (3, 5, 10, 20, 40)
"""The numbers of neighbours k for which there is an estimate each."""

_QUERIES = 2_000
_SEED = 20_000
_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21, 26, 35, 50, 70, 100, 140, 200, 300)
_OVERLAP = 1.3
_LEAST = 0.1
_LEAST_INVERSE = 1e-9
_KEPT = 0.75

Levels = Callable[[int], tuple[float, ...]]
"""K to the estimates, one for each number of neighbours and then the trimmed ones, that a set of dimension K gives."""


def log_distances(points: Tensor) -> Tensor:
    """Logarithms of the distances of up to 2 000 points to their nearest neighbours among all, (m, 40), from (n, D)."""
    return nearest_neighbours(points[:_QUERIES], points, max(NEIGHBOURS), skip_equal=True).distances.log()


def inverse_dimensions(logs: Tensor, k: int) -> Tensor:
    """One over the maximum-likelihood estimate by k neighbours at each point, (m,), from ``log_distances``.

    Never 0, which it would be where all neighbours are equally far.
    """
    return ((logs[:, k - 1 : k] - logs[:, : k - 1]).sum(1) / (k - 2)).clamp_min(_LEAST_INVERSE)


def maximum_likelihood(logs: Tensor) -> tuple[list[float], list[float]]:
    """The estimate and its relative standard error for each number of neighbours, from ``log_distances``."""
    estimates, errors = [], []
    for k in NEIGHBOURS:
        inverse = inverse_dimensions(logs, k)
        estimates.append(float(1.0 / inverse.mean()))
        # points share their neighbours, so that they count for less than as many independent ones
        errors.append(_OVERLAP * float(inverse.std() / inverse.mean()) / math.sqrt(len(inverse)))
    return estimates, errors


def trimmed_estimates(logs: Tensor) -> list[float]:
    """The estimates by the two smallest numbers of neighbours without the quarter of the points where they are lowest.

    A share of points that are too near to each other lowers the others little, where calibrated in the same way.
    """
    found = [inverse_dimensions(logs, k).sort().values for k in NEIGHBOURS[:2]]
    return [float(1.0 / inverse[: max(1, int(_KEPT * len(inverse)))].mean()) for inverse in found]


@lru_cache(maxsize=64)
def levels_of(shape: str, points: int) -> Levels:
    """The levels of a shape of ``SHAPES`` at a number of points: the same ones every time, and each made once."""

    @lru_cache
    def level(dimension: int) -> tuple[float, ...]:
        generator = torch.Generator().manual_seed(_SEED + dimension)
        logs = log_distances(SHAPES[shape](points, dimension, generator))
        return (*maximum_likelihood(logs)[0], *trimmed_estimates(logs))

    return level


def calibrated(levels: Levels, estimates: list[float], features: int) -> tuple[float, ...]:
    """The dimension at which a shape gives each estimate, on the straight line between neighbours of a grid.

    Args:
        levels: of the shape.
        estimates: of the data, one for each number of neighbours.
        features: D; a shape is not asked for a dimension above 2D, and none above it is an answer.
    """
    return tuple(_dimension_at(levels, place, estimate, features) for place, estimate in enumerate(estimates))


def _dimension_at(levels: Levels, k: int, estimate: float, features: int) -> float:
    # an estimate is below its dimension, so that the search starts at most one entry too low
    place = max(0, bisect_right(_GRID, estimate) - 1)
    lower, upper = (0.0, 0.0), (levels(_GRID[place])[k], float(_GRID[place]))
    while upper[0] < estimate and place + 1 < len(_GRID) and _GRID[place] < 2 * features:
        place += 1
        lower, upper = upper, (levels(_GRID[place])[k], float(_GRID[place]))
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
"""(number of points, K, generator) to points on a set of dimension K."""
