"""Calibration curves: which maximum-likelihood estimates sets of known dimension give, to compare other sets with.

They are read off a table that is made once, by ``python benchmarks/run.py calibration-table``.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from nflows_spread.dimension.maximum_likelihood import (
    QUERIES,
    log_distances,
    maximum_likelihood,
    trimmed_estimates,
)

TABLE = Path(__file__).with_name("calibration_table.json")
"""The table: of a shape the estimates for each size of ``SIZES`` and each dimension of ``GRID``."""

SIZES = (50, 70, 100, 140, 200, 280, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 102_400)
"""Numbers of points of which the table has samples, between which the logarithm of an estimate is straight in that of
the number: a choice, by which estimates are off by less than what samples of them vary by (a test)."""

MOST_POINTS = 10_000
"""Points of a set that are looked at, at most, where nobody asks for more: a choice, for time."""

GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21, 26, 35, 50, 70, 100, 140, 200, 300)
"""The dimensions of which samples are drawn, between which a curve is straight: a choice, steps of about a third."""

_SEED = 20_000
"""What is added to a dimension for the seed of its samples, so that a table is always the same: a choice."""

_LEAST = 0.1
"""The smallest dimension that is an answer: a bound, as the logarithm of an answer is taken; not measured."""

CalibrationCurve = Callable[[int], tuple[float, ...]]
"""K to the estimates, one for each number of neighbours and then the trimmed ones, that a set of dimension K gives."""


def simulated_estimates(shape: str, points: int, dimension: int, *, queries: int = QUERIES) -> tuple[float, ...]:
    """What sets of a shape give: the estimates of ``NEIGHBOURS`` and the trimmed ones, the same every time.

    Args:
        shape: a name of ``SHAPES``.
        points: of each set.
        dimension: K.
        queries: points whose neighbours are sought, of as many sets as it takes.
    """
    generator = torch.Generator().manual_seed(_SEED + dimension)
    sets = math.ceil(queries / min(points, QUERIES))
    logs = torch.cat([log_distances(SHAPES[shape](points, dimension, generator)) for _ in range(sets)])
    return (*maximum_likelihood(logs)[0], *trimmed_estimates(logs))


@lru_cache(maxsize=256)
def calibration_curve(shape: str, points: int) -> CalibrationCurve:
    """That of a shape of ``SHAPES`` at a number of points, the largest of ``SIZES`` at most, as its bias is small."""
    size = math.log(min(max(points, SIZES[0]), SIZES[-1]))
    sizes = [math.log(each) for each in SIZES]
    table = _table()[shape]
    place = min(bisect_right(sizes, size), len(sizes) - 1)
    share = (size - sizes[place - 1]) / (sizes[place] - sizes[place - 1])
    rows = table[place - 1].log().lerp(table[place].log(), share)  # (dimensions, estimates)

    @lru_cache
    def estimates_at(dimension: int) -> tuple[float, ...]:
        above = min(bisect_right(GRID, dimension), len(GRID) - 1)
        lower, upper = math.log(GRID[above - 1]), math.log(GRID[above])
        # beyond the last as between the last two
        found = rows[above - 1] + (rows[above] - rows[above - 1]) * (math.log(dimension) - lower) / (upper - lower)
        return tuple(found.exp().tolist())

    return estimates_at


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Tensor]:
    """For each shape the estimates, (sizes, dimensions, estimates), float64."""
    found = json.loads(TABLE.read_text(encoding="utf-8"))
    return {shape: torch.tensor(found[shape], dtype=torch.float64) for shape in SHAPES}


def calibrated(
    curve: CalibrationCurve, estimates: Sequence[float], features: int, places: Sequence[int] | None = None
) -> tuple[float, ...]:
    """The dimension at which a shape gives each estimate, on the straight line between neighbours of a grid.

    Args:
        curve: of the shape.
        estimates: of the data, one for each number of neighbours.
        features: D; a shape is not asked for a dimension above 2D, and none above it is an answer.
        places: which estimates of the curve they are; by default the first ones.
    """
    found = zip(range(len(estimates)) if places is None else places, estimates)
    return tuple(_dimension_at(curve, place, estimate, features) for place, estimate in found)


def _dimension_at(curve: CalibrationCurve, k: int, estimate: float, features: int) -> float:
    # an estimate is below its dimension, so that the search starts at most one entry too low
    place = max(0, bisect_right(GRID, estimate) - 1)
    lower, upper = (0.0, 0.0), (curve(GRID[place])[k], float(GRID[place]))
    while upper[0] < estimate and place + 1 < len(GRID) and GRID[place] < 2 * features:
        place += 1
        lower, upper = upper, (curve(GRID[place])[k], float(GRID[place]))
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
