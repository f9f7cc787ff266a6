"""Tests of independent draws: evenly spaced points, such as meshes and rounded values, and rows of a time series.

Estimates from distances between neighbours take points for independent draws of a density. Points on a mesh, samples at
even times, rounded values and quasi-random sequences have distances that vary too little, or ties. Rows that follow a
path are neighbours in space because they are neighbours in order.

Where no other source is told, the cuts were chosen on the random sets of the benchmark and on meshes and mixtures made
for it (docs/intrinsic_dimension.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS, inverse_dimensions
from nflows_spread.linalg.distances import nearest_neighbours

_EVEN_NEIGHBOURS = 5
"""The neighbours whose distances tell an even spacing: a choice."""

_EVEN, _EVEN_ERROR = 0.82, 1.0
"""The spread of inverse dimensions by five neighbours over that of independent draws, less its error by n points, below
which points are evenly spaced. On the random sets it is 0.83 at the least, with 5 % of noise; on Poisson discs 0.74."""

_TIE, _TIED = 1e-3, 0.1
"""Distances whose logarithms differ by less are tied, in nats, and points with such a share of ties are no independent
draws, of which 2 % were measured in eight dimensions. A choice."""

_HIGHEST = 8.0
"""The dimension up to which meshes are sought. A choice: one of 3 points a side has 6 561 points in eight."""

_JITTER = 0.5
"""The weights of the steps towards neighbours that undo an even spacing. A choice: on meshes in up to five
dimensions the estimate is right to 5 % from 0.35 on, and a larger step leaves a curved manifold."""

_PATH_ROWS = 5_000
"""The first rows, whose order is checked, at most: a choice, for time."""

_SMOOTH = 0.12
"""The median of |log| of the ratio of a step to the next one, below which rows follow a smooth path. A choice between
what was measured: of flows at even times it is 0.08 at the most, of sorted draws and of random walks 0.2 and more."""

_FOLLOWING, _FOLLOWING_ROUGH = 0.2, 0.75
"""The share of rows nearer to the one before or after than to any other, from which on their order is a path, where it
is smooth or not. A choice: of independent draws a share of 2 / n has, but of those sorted by a column far
wider than the others half and more."""

_NEARER = 0.999
"""How much nearer than any other row, a ratio: on a mesh several are equally near. A choice; not measured."""

_JUMP, _JUMPS, _STEPS_BESIDE = 5.0, 0.01, 5
"""A step of so many median steps, of a smooth path of those up to five before and after, is a jump, and a path has
fewer than one in a hundred of them. A choice, with which tests tell paths whose speed varies from lines of a mesh."""


def evenly_spaced(logs: Tensor) -> bool:
    """Whether distances vary less than those of independent draws, or are tied, from ``log_distances``."""
    if float(1.0 / inverse_dimensions(logs, LOCAL_NEIGHBOURS).mean()) > _HIGHEST:
        return False
    steps = logs[:, 1:_EVEN_NEIGHBOURS] - logs[:, : _EVEN_NEIGHBOURS - 1]
    inverse = inverse_dimensions(logs, _EVEN_NEIGHBOURS)
    spread = float(inverse.std() / inverse.mean()) * math.sqrt(_EVEN_NEIGHBOURS - 1)
    return spread < _EVEN - _EVEN_ERROR / math.sqrt(len(logs)) or float((steps < _TIE).double().mean()) > _TIED


def jittered(points: Tensor, dimension: int, generator: torch.Generator | None) -> Tensor:
    """The points moved along the manifold by about a spacing, each by its own random step, (n, D), in random order.

    Each goes towards or away from its 2K nearest neighbours, which lie along the manifold, and leaves it by their
    curvature alone. So a mesh becomes what independent draws of its density are, at the scale of a few points.

    Args:
        points: (n, D).
        dimension: K, as the farther neighbours have it.
        generator: source of the steps and of the order.
    """
    neighbours = nearest_neighbours(points, points, 2 * dimension, skip_equal=True).indices
    weights = torch.empty(*neighbours.shape, 1, dtype=points.dtype, device=points.device).normal_(generator=generator)
    moved = points + _JITTER * (weights * (points[neighbours] - points.unsqueeze(1))).sum(1)
    return moved[torch.randperm(len(points), generator=generator).to(points.device)]


def along_a_path(x: Tensor) -> bool:
    """Whether rows follow each other along a path, as those of a time series do, and so are no independent draws.

    Then many rows are nearer to the one before or after than to any other, and the steps between rows have no jumps, as
    they have at the ends of the lines of a mesh.

    Args:
        x: points, (n, D), in the order in which they came.
    """
    steps = x.diff(dim=0).norm(dim=1)
    moving = steps > 0.0  # a value that is held for some rows is one row
    part = torch.cat([x[:1], x[1:][moving]])[:_PATH_ROWS]
    steps = steps[moving][: _PATH_ROWS - 1].double()
    if len(steps) <= 2 * _STEPS_BESIDE:
        return False
    distances, nearest = nearest_neighbours(part, part, 3, skip_equal=True)
    beside = (nearest - torch.arange(len(part), device=x.device).unsqueeze(1)).abs() == 1
    following = distances.where(beside, math.inf).amin(1) < _NEARER * distances.where(~beside, math.inf).amin(1)
    smooth = float(steps.log().diff().abs().median()) < _SMOOTH
    jumps = steps > _JUMP * (_medians_around(steps) if smooth else steps.median())
    least = _FOLLOWING if smooth else _FOLLOWING_ROUGH
    return float(following.double().mean()) > least and float(jumps.double().mean()) < _JUMPS


def _medians_around(steps: Tensor) -> Tensor:
    """The median of each step and of those up to five before and after it, (n,)."""
    padded = torch.nn.functional.pad(steps.view(1, -1), (_STEPS_BESIDE, _STEPS_BESIDE), mode="reflect").squeeze(0)
    return padded.unfold(0, 2 * _STEPS_BESIDE + 1, 1).median(1).values
