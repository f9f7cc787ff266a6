"""Whether points are independent draws of a density, which the law of distances to neighbours takes for granted.

Of independent draws in K dimensions the ratio of the distances r_j and r_{j+1} to the j-th and the next neighbour is
known: (r_j / r_{j+1})^(jK) is uniform on [0, 1]. Rows that are repeated up to rounding have ratios far below it; points
on a mesh, samples at even times, rounded values and quasi-random sequences have ratios that vary too little, or ties.
Rows that follow a path are neighbours in space because they are neighbours in order.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.dimension.calibration import inverse_dimensions
from nflows_spread.linalg.distances import nearest_neighbours

_SAMPLE = 2_000
"""Points that are looked at before all are: repeats so few that it misses them do no harm."""

_COMPARED = 5
"""Neighbours whose distances are compared: as many near-repeats of a point are found as there are, less one."""

_LOCAL = 20
"""The neighbours that tell the local dimension."""

_CAUTION = 0.7
"""The local dimension over its estimate, at the least: an underestimate finds fewer near-repeats."""

_FOLD, _CHANCE, _RARE = 2.5, 1e-6, 0.12
"""Near-repeats are there if so many times the expected number of ratios, of a probability of up to 12 %, have a chance
below one in a million. Nothing is found on the random sets; the ratios of meshes begin at 16 %."""

_EVEN, _EVEN_ERROR = 0.82, 1.0
"""The spread of inverse dimensions by five neighbours over that of independent draws, less its error by n points, below
which points are evenly spaced. On the random sets it is 0.83 at the least, with 5 % of noise; on Poisson discs 0.74."""

_TIE, _TIED = 1e-3, 0.1
"""Distances whose logarithms differ by less are tied; independent draws have 2 % of ties in eight dimensions."""

_HIGHEST = 8.0
"""The dimension up to which meshes are looked for: one of 3 points a side has 6 561 points in eight."""

_SMEAR = 0.5
"""The weights of the steps towards neighbours that undo an even spacing. On meshes in up to five dimensions the
estimate is right to 5 % from 0.35 on, and a larger step leaves a curved manifold."""

_PATH_ROWS = 5_000
"""The first rows, whose order is looked at."""

_SMOOTH = 0.12
"""The median of |log| of the ratio of a step to the next one, below which rows follow a smooth path. Of flows at even
times it is 0.08 at the most, of sorted draws and of random walks 0.2 and more."""

_FOLLOWING, _FOLLOWING_ROUGH = 0.2, 0.75
"""The share of rows nearer to the one before or after than to any other, from which on their order is a path, where it
is smooth or not. Of independent draws a share of 2 / n has, but of those sorted by a column far wider than the others
half and more."""

_NEARER = 0.999
"""How much nearer than any other row: on a mesh several are equally near."""

_JUMP, _JUMPS, _STEPS_BESIDE = 5.0, 0.01, 5
"""A step of so many median steps, of a smooth path of those up to five before and after, is a jump, and a path has
fewer than one in a hundred of them."""


def without_near_repeats(points: Tensor) -> tuple[Tensor, Tensor]:
    """The points with those merged that are repeated up to a small difference, and which of them each row is.

    Groups of up to five: more points than that in a row are a curve.

    Args:
        points: distinct points, (n, D), at least 21.

    Returns:
        The first of each group, (m, D), in order, and for each row the index of its group, (n,).
    """
    group = torch.arange(len(points), device=points.device)
    kept = points
    while len(kept) > _LOCAL:
        pairs = _near_repeats(kept[:: max(1, len(kept) // _SAMPLE)], kept)
        pairs = _near_repeats(kept, kept) if pairs.numel() else pairs
        which = _small_groups(len(kept), pairs)
        first, which = which.unique(return_inverse=True)
        if len(first) == len(kept):
            break
        kept, group = kept[first], which[group]
    return kept, group


def _near_repeats(queries: Tensor, points: Tensor) -> Tensor:
    """Pairs of a query and a point that nearly repeats it, (2, m): of the smallest groups that there are."""
    distances, neighbours = nearest_neighbours(queries, points, _LOCAL, skip_equal=True)
    logs = distances.log()
    for j in range(1, _COMPARED):
        near = _improbably_near(logs, j).nonzero().squeeze(1)
        if len(near):
            return torch.stack([near.repeat_interleave(j), neighbours[near, :j].flatten()])
    return neighbours.new_empty(2, 0)


def _improbably_near(logs: Tensor, j: int) -> Tensor:
    """Whose j nearest are nearer, beside the next one, than independent draws would have it, (n,)."""
    dimension = (_CAUTION / inverse_dimensions(logs, _LOCAL)).clamp_min(1.0)
    log_probabilities = j * dimension * (logs[:, j - 1] - logs[:, j])
    ordered = log_probabilities.sort().values
    counts = torch.arange(1, len(ordered) + 1, dtype=logs.dtype, device=logs.device)
    expected = (_FOLD * len(ordered) * ordered.exp()).clamp_min(torch.finfo(logs.dtype).tiny)
    chance = torch.special.gammainc(counts, expected)  # of as many or more, if their number is Poisson
    found = ((chance < _CHANCE) & (ordered < math.log(_RARE))).nonzero()
    if not len(found):
        return torch.zeros_like(log_probabilities, dtype=torch.bool)
    # up to the widest gap: beyond it are the nearest of the points that are no repeats
    cut = ordered[: int(found[-1]) + 2].diff().argmax()
    return log_probabilities <= ordered[cut]


def _small_groups(n: int, pairs: Tensor) -> Tensor:
    """For each of n points the smallest index in the group that pairs (2, m) join it to, its own in a large group."""
    own = group = torch.arange(n, device=pairs.device)
    both = torch.cat([pairs, pairs.flip(0)], dim=1)
    for _ in range(_COMPARED):  # a small group is joined after fewer rounds
        group = group.scatter_reduce(0, both[0], group[both[1]], "amin")
    small = group.bincount(minlength=n)[group] <= _COMPARED
    # a chain whose labels still move on has neighbours of other labels
    moving = group[both[0]] != group[both[1]]
    small[both[0][moving]] = False
    return torch.where(small, group, own)


def evenly_spaced(logs: Tensor) -> bool:
    """Whether distances vary less than those of independent draws, or are tied, from ``log_distances``."""
    if float(1.0 / inverse_dimensions(logs, _LOCAL).mean()) > _HIGHEST:
        return False
    steps = logs[:, 1:_COMPARED] - logs[:, : _COMPARED - 1]
    inverse = inverse_dimensions(logs, _COMPARED)
    spread = float(inverse.std() / inverse.mean()) * math.sqrt(_COMPARED - 1)
    return spread < _EVEN - _EVEN_ERROR / math.sqrt(len(logs)) or float((steps < _TIE).double().mean()) > _TIED


def smeared(points: Tensor, dimension: int, generator: torch.Generator | None) -> Tensor:
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
    moved = points + _SMEAR * (weights * (points[neighbours] - points.unsqueeze(1))).sum(1)
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
