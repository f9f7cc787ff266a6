"""The intrinsic dimension at the scale of the nearest neighbours, calibrated on sets of known dimension.

A flow's spectrum needs a chart, and 2 000 points leave much of a strongly curved manifold unseen. Distances
between neighbours need neither, but finite samples and edges bias them low, the more the higher the dimension.
Here that bias is read off simulated sets of the same size, as DANCo does, of three shapes that differ in
what happens at their edges: what they disagree on, the data must decide otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor

from nflows_spread import validation

_NEIGHBOURS = (3, 5, 10, 20, 40)
_NEAREST = 2  # the first two of them decide: the larger ones feel curvature
_POINTS, _QUERIES = 10_000, 2_000
_CALIBRATION_SEED = 20_000
_GRID = (1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 21, 26, 35, 50, 70, 100, 140, 200, 300)
_LEAST_ERROR = 0.05
_OVERLAP = 1.3
_LOCAL = 20
_FEWEST = 50
_TREND = 1.5  # the trend from the 3rd to the 40th neighbour goes on below the 3rd


@dataclass(frozen=True)
class NeighbourDimension:
    """A dimension read off distances between neighbours, with how far it can be trusted.

    Attributes:
        value: K, not rounded: the geometric mean over the shapes of ``profile``, for the 3rd and 5th neighbour.
        below: relative standard error towards smaller dimensions.
        above: relative standard error towards larger dimensions. Wider where every shape's dimension falls
            with the number of neighbours, as it does for densities that vary within a neighbourhood;
            ``below`` where every one rises, as it does on curved or folded manifolds.
        nearest: median distance of a point to its nearest neighbour, in units of the data.
        neighbours: numbers of neighbours k of ``profile``.
        profile: for each shape the dimension by k neighbours, one entry for each of ``neighbours``.
    """

    value: float
    below: float
    above: float
    nearest: float
    neighbours: tuple[int, ...]
    profile: Mapping[str, tuple[float, ...]]

    def log_plausibility(self, dimension: int) -> float:
        """How well a dimension fits, in nats: 0 for the best, −½ at one standard error."""
        distance = math.log(dimension / self.value)
        return -0.5 * (distance / (self.above if distance > 0.0 else self.below)) ** 2


def neighbour_dimension(x: Tensor, *, generator: torch.Generator | None = None) -> NeighbourDimension:
    """The dimension of points by the distances to their nearest neighbours.

    The maximum-likelihood estimate for k neighbours, averaged over points as MacKay and Ghahramani do, is
    calibrated: K is the dimension at which as many points, normal, uniform in a cube, or uniform on a
    sphere, give the same estimate. No scale of the data enters, and no model.

    Args:
        x: points, shape (n, ...). Repeated points count once.
        generator: source of the choice among more than 10 000 points.

    Returns:
        The dimension, its errors and the profile behind it.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or has fewer than 50 distinct points.

    References:
        E. Levina, P. Bickel, Maximum likelihood estimation of intrinsic dimension, NeurIPS 2004.
        C. Ceruti et al., DANCo: an intrinsic dimensionality estimator, Pattern Recognition 47, 2014.
    """
    validation.points("x", x)
    points = x.flatten(1).double().unique(dim=0)
    if len(points) < _FEWEST:
        raise ValueError(f"x must have at least {_FEWEST} distinct points, got {len(points)} among {len(x)}")
    order = torch.randperm(len(points), generator=generator)[:_POINTS].to(points.device)
    logs = _log_distances(points[order])
    estimates, errors = _maximum_likelihood(logs)
    features = points.shape[1]
    profile = {
        shape: tuple(_calibrated(shape, k, estimate, len(order), features) for k, estimate in enumerate(estimates))
        for shape in SHAPES
    }
    nearest = torch.tensor([values[:_NEAREST] for values in profile.values()]).log()
    trends = [math.log(values[-1] / values[0]) for values in profile.values()]
    spread = 0.5 * float(nearest.mean(1).max() - nearest.mean(1).min())
    error = math.hypot(_LEAST_ERROR, spread, errors[0])
    return NeighbourDimension(
        value=float(nearest.mean().exp()),
        below=error + _TREND * max(0.0, min(trends)),
        above=error + _TREND * max(0.0, -max(trends)),
        nearest=float(logs[:, 0].median().exp()),
        neighbours=_NEIGHBOURS,
        profile=profile,
    )


def pointwise_dimension(x: Tensor) -> Tensor:
    """The dimension around each point, for data whose dimension varies from place to place.

    The estimate for 20 neighbours, averaged over a point and its 20 nearest and calibrated as in
    ``neighbour_dimension``. On unions of curves and surfaces it was right at 99.5 % of the points away
    from the joints, where counting the eigenvalues of a flow's pointwise spectrum was right at 92 to 98 %;
    at dimensions beyond about 5 so few neighbours leave an error of one or more.

    Args:
        x: points, shape (n, ...), n at least 50.

    Returns:
        Shape (n,), int64.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or has fewer than 50 points, or some that are equal.
    """
    validation.points("x", x)
    points = x.flatten(1).double()
    if len(points) < _FEWEST or len(points.unique(dim=0)) < len(points):
        raise ValueError(f"x must have at least {_FEWEST} points, all distinct, got {len(points)} with repetitions")
    place = _NEIGHBOURS.index(_LOCAL)
    inverse, neighbours = [], []
    for index in torch.arange(len(points)).split(_QUERIES):
        distances = torch.cdist(points[index], points)
        distances[torch.arange(len(index)), index] = math.inf
        nearest = distances.topk(_LOCAL, largest=False)
        logs = nearest.values.log()
        inverse.append((logs[:, -1:] - logs[:, :-1]).sum(1) / (_LOCAL - 2))
        neighbours.append(torch.cat([index.unsqueeze(1), nearest.indices], dim=1))
    estimates = torch.cat(inverse)[torch.cat(neighbours)].mean(1).reciprocal()
    highest = max(1, math.ceil(2.0 * float(estimates.max())))
    levels = [
        sum(_reference(shape, dimension, min(len(points), _POINTS))[place] for shape in SHAPES) / len(SHAPES)
        for dimension in range(1, highest + 1)
    ]
    # the dimension whose level is nearest: between two levels the middle decides
    middles = torch.tensor([0.5 * (lower + upper) for lower, upper in pairwise(levels)], dtype=torch.float64)
    return (torch.bucketize(estimates, middles) + 1).clamp_max(points.shape[1])


def _log_distances(points: Tensor) -> Tensor:
    """Logarithms of the distances of some points to their nearest neighbours among all, (m, 40), from (n, D)."""
    distances = torch.cdist(points[:_QUERIES], points)
    distances.fill_diagonal_(math.inf)
    return distances.topk(max(_NEIGHBOURS), largest=False).values.log()


def _maximum_likelihood(logs: Tensor) -> tuple[list[float], list[float]]:
    """The estimate and its relative standard error for each number of neighbours, from ``_log_distances``."""
    estimates, errors = [], []
    for k in _NEIGHBOURS:
        inverse = (logs[:, k - 1 : k] - logs[:, : k - 1]).sum(1) / (k - 2)
        estimates.append(float(1.0 / inverse.mean()))
        # points share their neighbours, so that they count for less than as many independent ones
        errors.append(_OVERLAP * float(inverse.std() / inverse.mean()) / math.sqrt(len(inverse)))
    return estimates, errors


def _calibrated(shape: str, k: int, estimate: float, points: int, features: int) -> float:
    """The dimension at which this shape gives this estimate, on the straight line between neighbours of the grid."""
    # an estimate is below its dimension, so that the search starts at most one entry too low
    place = max(0, bisect_right(_GRID, estimate) - 1)
    lower, upper = (0.0, 0.0), (_reference(shape, _GRID[place], points)[k], float(_GRID[place]))
    while upper[0] < estimate and place + 1 < len(_GRID) and _GRID[place] < 2 * features:
        place += 1
        lower, upper = upper, (_reference(shape, _GRID[place], points)[k], float(_GRID[place]))
    slope = (upper[1] - lower[1]) / (upper[0] - lower[0])
    return max(lower[1] + slope * (estimate - lower[0]), 0.1)


@lru_cache(maxsize=1024)
def _reference(shape: str, dimension: int, points: int) -> tuple[float, ...]:
    """The estimates, for each number of neighbours, from points of known dimension: the same ones every time."""
    generator = torch.Generator().manual_seed(_CALIBRATION_SEED + dimension)
    return tuple(_maximum_likelihood(_log_distances(SHAPES[shape](points, dimension, generator)))[0])


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
