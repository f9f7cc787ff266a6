"""Duplicates and near-duplicates among points: exact repetitions, and those up to rounding or a small difference.

Of independent draws in K dimensions the ratio of the distances r_j and r_{j+1} to the j-th and the next neighbour is
known: (r_j / r_{j+1})^(jK) is uniform on [0, 1]. Rows that are repeated up to rounding have ratios far below it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS, inverse_dimensions
from nflows_spread.dimension.neighbour_search import neighbours_among

FEWEST_POINTS = 50
"""Distinct points, at the least: a choice, a few more than the 40 neighbours that are asked about."""

_BY_CHANCE = 2.0 / 3.0
"""The share of the points that is left where some of fewer than 50 are near each other by chance: a choice, as rows
that are repeated leave half of them and less."""

_WIDEST = 1e140
"""What a column may vary by, at the most, and one over the least. A choice, as squares of float64 end at 1e308 and
1e-308."""

_SAMPLE = 2_000
"""Points that are searched before all are: a choice, for time; repeats so few that it misses them do no harm."""

_COMPARED = 5
"""Neighbours whose distances are compared: as many near-repeats of a point are found as there are, less one. A choice:
more points than that in a row are a curve."""

_CAUTION = 0.7
"""The local dimension over its estimate, at the least, a ratio: an underestimate finds fewer near-repeats. A choice;
not measured by itself."""

_FOLD, _CHANCE, _RARE = 2.5, 1e-6, 0.12
"""Near-repeats are there if so many times the expected number of ratios, of a probability of up to 12 %, have a chance
below one in a million. Nothing is found on the random sets of the benchmark; the ratios of meshes begin at 16 %."""


class TooFewPointsError(ValueError):
    """Fewer than 50 points are distinct."""


def without_repeats(
    x: Tensor, *, name: str = "x", remedy: str = "", n_jobs: int | None = None
) -> tuple[Tensor, Tensor]:
    """``distinct_points`` and without those that are repeated up to a small difference; arguments are the same.

    ``n_jobs`` are the threads of the search for neighbours, which change no digit.
    """
    points, which = distinct_points(x, name=name, remedy=remedy)
    kept, group = without_near_repeats(points, n_jobs=n_jobs)
    if near_by_chance(kept, points):
        return points, which
    check_enough(kept, len(x), name=name, remedy=remedy)
    return kept, group[which]


def distinct_points(x: Tensor, *, name: str = "x", remedy: str = "") -> tuple[Tensor, Tensor]:
    """The points without repetitions, (m, D) in float64, and which of them each row of x is, (n,).

    They are in order of their distance from the mean, so that what is drawn among them by a seed is the same whatever
    the order of rows and columns, the unit, the offset and the axes.

    Args:
        x: points, shape (n, ...).
        name: what an error calls them.
        remedy: what an error adds where they are too few.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or fewer than 50 of its rows are distinct.
    """
    rows = validation.points(name, x).detach().flatten(1)
    if rows.shape[1] == 0:
        raise ValueError(f"{name} must have at least one feature, got shape {tuple(x.shape)}")
    rows = rows.double()
    check_range(rows, name=name)
    points, which = rows.unique(dim=0, return_inverse=True)
    check_enough(points, len(x), name=name, remedy=remedy)
    order = (points - points.mean(0)).square().sum(1).argsort()  # theirs by columns would not outlive a rotation
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    return points[order], place[which]


def first_of_equal(points: Tensor) -> Tensor:
    """Of rows that are equal the first, ascending indices, (m,)."""
    distinct, which = points.unique(dim=0, return_inverse=True)
    return first_of_each(which, len(distinct)).sort().values


def first_of_each(which: Tensor, count: int) -> Tensor:
    """The place in ``which``, (n,), at which each of the numbers below ``count`` is for the first time, (count,)."""
    places = torch.arange(len(which), device=which.device)
    return which.new_full((count,), len(which)).scatter_reduce(0, which, places, "amin")


def check_range(rows: Tensor, *, name: str = "x") -> None:
    """``ValueError`` if squares of the distances between rows, (n, D) in float64, overflow or vanish."""
    width = float((rows.amax(0) - rows.amin(0)).amax())
    if width and not 1.0 / _WIDEST < width < _WIDEST:
        raise ValueError(
            f"{name} must vary by less than {_WIDEST:.0e} and more than {1.0 / _WIDEST:.0e}, as squares of distances "
            f"overflow or vanish, got {width:.3g}; divide it by its scale, or drop rows of fill values"
        )


def near_by_chance(kept: Tensor, points: Tensor) -> bool:
    """Whether too few points are left without near-repeats because some of so few are near each other by chance."""
    return len(kept) < FEWEST_POINTS and len(kept) > _BY_CHANCE * len(points)


def check_enough(points: Tensor, rows: int, *, name: str = "x", remedy: str = "") -> None:
    """``TooFewPointsError`` if too few of the rows are distinct."""
    if len(points) < FEWEST_POINTS:
        raise TooFewPointsError(
            f"{name} must have at least {FEWEST_POINTS} distinct points, got {len(points)} among {rows}{remedy}"
        )


def without_near_repeats(points: Tensor, *, n_jobs: int | None = None) -> tuple[Tensor, Tensor]:
    """The points with those merged that are repeated up to a small difference, and which of them each row is.

    Groups of up to five: more points than that in a row are a curve.

    Args:
        points: distinct points, (n, D), at least 21.
        n_jobs: threads of the search for neighbours, which change no digit.

    Returns:
        The first of each group, (m, D), in order, and for each row the index of its group, (n,).
    """
    group = torch.arange(len(points), device=points.device)
    kept = points
    while len(kept) > LOCAL_NEIGHBOURS:
        pairs = _near_repeats(kept[:: max(1, len(kept) // _SAMPLE)], kept, n_jobs)
        pairs = _near_repeats(kept, kept, n_jobs) if pairs.numel() else pairs
        which = _small_groups(len(kept), pairs)
        first, which = which.unique(return_inverse=True)
        if len(first) == len(kept):
            break
        kept, group = kept[first], which[group]
    return kept, group


def _near_repeats(queries: Tensor, points: Tensor, n_jobs: int | None) -> Tensor:
    """Pairs of a query and a point that nearly repeats it, (2, m): of the smallest groups that there are."""
    distances, neighbours = neighbours_among(queries, points, LOCAL_NEIGHBOURS, n_jobs=n_jobs)
    logs = distances.log()
    for j in range(1, _COMPARED):
        near = _improbably_near(logs, j).nonzero().squeeze(1)
        if len(near):
            return torch.stack([near.repeat_interleave(j), neighbours[near, :j].flatten()])
    return neighbours.new_empty(2, 0)


def _improbably_near(logs: Tensor, j: int) -> Tensor:
    """Whose j nearest are nearer, beside the next one, than independent draws would have it, (n,)."""
    dimension = (_CAUTION / inverse_dimensions(logs, LOCAL_NEIGHBOURS)).clamp_min(1.0)
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
