"""Evenly spaced points, such as meshes and rounded values: told from independent draws, and jittered into such.

Estimates from distances between neighbours take points for independent draws of a density. Points on a mesh, samples at
even times, rounded values and quasi-random sequences have distances that vary too little, or ties.

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


def evenly_spaced(logs: Tensor) -> bool:
    """Whether distances vary less than those of independent draws, or are tied, from ``log_distances``."""
    if float(1.0 / inverse_dimensions(logs, min(LOCAL_NEIGHBOURS, logs.shape[1])).mean()) > _HIGHEST:
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
