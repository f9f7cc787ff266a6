"""Rows in the order of a path, as those of a time series (autocorrelated): told from independent draws.

Estimates from distances between neighbours take points for independent draws of a density. Rows that follow a path are
neighbours in space because they are neighbours in order.

Where no other source is told, the cuts were chosen on the random sets of the benchmark and on meshes and mixtures made
for it (docs/intrinsic_dimension.md).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

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

SAID_OF_A_PATH = (
    "the rows follow each other along a path, as those of a time series do, so that their neighbours in "
    "space are those in order and tell the path's dimension; take rows farther apart, and more of them"
)
"""A sentence about such rows, for warnings."""


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
