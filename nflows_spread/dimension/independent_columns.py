"""Groups of columns that are independent of each other: the dimensions that each fills add up to that of the data.

A product of curves, the measurements of several machines that have nothing to do with each other: few columns have few
dimensions, which their points show, where distances between rows of all columns see too many at once. Columns that
depend on each other pairwise are one group. Whether groups are independent all together is then asked of distances
between neighbours: where each group's rows are permuted by themselves they have the sum of the dimensions, and as they
were they are draws of the same only if distances are the same up to chance. That is a permutation test, and where it
finds no difference densities and curvatures matter no more, as both have them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from nflows_spread.dimension.distinct_points import TooFewPointsError
from nflows_spread.dimension.maximum_likelihood import log_distances
from nflows_spread.dimension.neighbours import MOST_OF_NEIGHBOURS
from nflows_spread.linalg.distance_correlation import distance_correlations, p_values

_FEWEST, _MOST_COLUMNS = 200, 100
"""Rows from which on, and columns up to which, groups are looked for: choices, for power and for time."""

_ROWS = (100, 400)
"""Rows by which columns are told to depend on each other, the first ones; few of them suffice for most data, where all
columns depend on each other. Choices, for time."""

_CHANCE = 0.1
"""How many of the other columns each one is taken to depend on by chance, on the average: a choice. Groups that are
taken for one are one of more dimensions, which is no harm while they are few."""

_POINTS, _OF_A_GROUP = 2_000, 1_000
"""Rows that are looked at, the first ones, and of them those that tell the dimension of a group: for time. By trials on
60 products of curves and surfaces, of which with 2 000 for both no more were right."""

_NARROW = 0.25
"""The standard deviation of a column in a group that fills its columns over the root of the mean variance of all
columns, a ratio, below which it may be noise that is no dimension. A choice: noise is mostly less."""

_DISTINCT = 0.5
"""The share of a column's values that are distinct, from which on it is continuous. A choice."""

_NEIGHBOURS = (5, 10, 20)
"""Numbers of neighbours whose distances are compared with those of permuted groups. A choice."""

_PERMUTATIONS = 6
"""How often groups are permuted: a choice, for time."""

_BY_CHANCE, _LEAST_ERROR = 4.0, 0.3
"""The largest difference between mean logarithms of distances that is one by chance, in the standard deviations of
permutations, and the least of these in standard errors of independent distances, as six may be alike by chance. By
trials on sets of 500 to 2 000 points: it is less for 135 of 142 products of circles, curves and surfaces, and more for
119 of 126 spheres and faces of cubes whose columns have copies."""

_FEW = 4
"""Columns for each that depends on another, from which on these are looked at before all are permuted, which takes
longer then, and they may depend on each other by chance: a choice, for time."""

_UNSURE = 1
"""The width of a group's interval up to which it tells its dimension: by itself a group is closer, and noise that
distances in all columns do not see fills it. By trials on products, and on 50 sets of three to six curves with noise
of a fiftieth: without it such noise makes right answers wrong."""

_MANY = 5
"""The number of groups from which on the interval covers one dimension less, as an equation that all of them together
satisfy is hardly seen. By trials on closed curves whose angles add up to a full turn: of three and four it is seen."""


@dataclass(frozen=True)
class Group:
    """Columns that depend on each other and on no others, or all that depend on none.

    Attributes:
        columns: their places.
        dimension: that of the rows in these columns.
        interval: of plausible dimensions.
        log_evidence: for each number of dimensions from 1 to that of the columns, in nats.
    """

    columns: tuple[int, ...]
    dimension: int
    interval: tuple[int, int]
    log_evidence: tuple[float, ...]

    @property
    def log_plausibilities(self) -> list[float]:
        """The log-evidence of each less that of the dimension; where another has more, that of the interval alone."""
        best = self.log_evidence[self.dimension - 1]
        if best == max(self.log_evidence):
            return [nats - best for nats in self.log_evidence]
        lowest, highest = self.interval
        places = range(1, len(self.log_evidence) + 1)
        return [0.0 if lowest <= place <= highest else -MOST_OF_NEIGHBOURS for place in places]


@dataclass(frozen=True)
class IndependentColumns:
    """Groups of columns that are independent of each other.

    Attributes:
        groups: two or more, of all columns that vary, some of which have fewer dimensions than they are columns.
        difference: of distances between neighbours from those of permuted groups, in the standard deviations of these.
    """

    groups: tuple[Group, ...]
    difference: float

    @property
    def dimension(self) -> int:
        """The sum of the groups' dimensions."""
        return sum(group.dimension for group in self.groups)

    @property
    def interval(self) -> tuple[int, int]:
        """That of the sum: the groups' errors are independent, so that the squares of their intervals' widths add.

        Of five groups and more it has one dimension less too, for an equation that they satisfy all together.
        """
        below = math.hypot(*(group.dimension - group.interval[0] for group in self.groups))
        above = math.hypot(*(group.interval[1] - group.dimension for group in self.groups))
        least = max(math.ceil(below), 1 if len(self.groups) >= _MANY else 0)
        return self.dimension - least, self.dimension + math.ceil(above)

    def log_plausibility(self, dimension: int) -> float:
        """How well a dimension fits, in nats: that of the groups' dimensions of this sum that fit best."""
        return self.log_plausibilities(dimension)[-1]

    def log_plausibilities(self, features: int) -> list[float]:
        """``log_plausibility`` of K = 1 … D, in nats, at least −8."""
        sums = [0.0]  # of 0 dimensions on
        for group in self.groups:
            nats = [-math.inf, *group.log_plausibilities]
            sums = [
                max(sums[place - k] + nats[k] for k in range(len(nats)) if 0 <= place - k < len(sums))
                for place in range(len(sums) + len(nats) - 1)
            ]
        sums += [-math.inf] * (features + 1 - len(sums))
        return [max(nats, -MOST_OF_NEIGHBOURS) for nats in sums[1 : features + 1]]


def independent_columns(
    points: Tensor, group_of: Callable[[Tensor, tuple[int, ...]], Group]
) -> IndependentColumns | None:
    """The groups of columns that are independent of each other, or None where there are none that tell anything.

    Columns that depend on no other are one group too. They tell nothing where each other group fills all of its
    columns, where columns that fill their group are so narrow that they may be noise, where a group's interval is wide,
    where a column has few distinct values, and where there are fewer than 200 rows or more than 100 columns.

    Args:
        points: distinct, independent rows in random order, (n, D), of which the first 2 000 are looked at.
        group_of: what rows in some of the columns, and these columns' places, tell of their dimension.
    """
    rows = points[:_POINTS].double()
    columns = (rows.amin(0) < rows.amax(0)).nonzero().flatten()
    if len(rows) < _FEWEST or not 2 < len(columns) <= _MOST_COLUMNS:
        return None
    which = _dependent(rows[:, columns])
    if which is None or not _continuous(rows[:, columns]):
        return None
    sizes = which.bincount(minlength=len(which))[which]
    dependent = [columns[which == number] for number in which[sizes > 1].unique()]
    alone = columns[sizes == 1]  # which together may satisfy an equation, of which two of them show nothing
    together = [*dependent, alone] if len(alone) else dependent
    if not dependent or len(together) < 2:
        return None

    @cache
    def group_at(place: int) -> Group | None:
        return _group(rows, together[place], group_of)

    def filled_at(place: int) -> bool:
        group = group_at(place)
        return group is None or group.dimension == len(group.columns)

    by_chance = _FEW * sum(map(len, dependent)) <= len(columns)
    if by_chance and all(map(filled_at, range(len(dependent)))):
        return None
    difference = _difference_from_permuted(rows, together)
    if not difference <= _BY_CHANCE:  # nor where it is no number, as too few distances are known
        return None
    groups = []
    for group in map(group_at, range(len(together))):
        if group is None or group.interval[1] - group.interval[0] > _UNSURE:
            return None
        groups.append(group)
    filled = list(map(filled_at, range(len(groups))))
    if all(filled[: len(dependent)]):
        return None
    variances = rows[:, columns].var(0)
    narrow = set(columns[variances < _NARROW**2 * variances.mean()].tolist())
    if any(fills and narrow.intersection(group.columns) for fills, group in zip(filled, groups, strict=True)):
        return None
    return IndependentColumns(tuple(groups), difference)


def _dependent(rows: Tensor) -> Tensor | None:
    """The number of the group that each column is of, (D,), or None where all are of one."""
    features = rows.shape[1]
    which = torch.zeros(features, dtype=torch.int64, device=rows.device)
    for size in _ROWS:
        some = rows[:size]
        depends = p_values(distance_correlations(some), len(some)) < _CHANCE / features
        which = _components(depends)
        if not bool(which.any()):
            return None
    return which


def _components(depends: Tensor) -> Tensor:
    """The smallest place in the connected component of each, (D,), of a symmetric matrix of who depends on whom."""
    places = torch.arange(len(depends), device=depends.device)
    connected = depends | (places == places.unsqueeze(1))
    while True:
        further = (connected.double() @ connected.double()) > 0.0
        if bool((further == connected).all()):
            return connected.double().argmax(1)
        connected = further


def _continuous(rows: Tensor) -> bool:
    values = rows.sort(dim=0).values
    return bool(((values[1:] > values[:-1]).double().mean(0) >= _DISTINCT).all())


def _group(rows: Tensor, columns: Tensor, group_of: Callable[[Tensor, tuple[int, ...]], Group]) -> Group | None:
    if len(columns) == 1:
        return Group((int(columns),), 1, (1, 1), (0.0,))
    own = rows[:_OF_A_GROUP, columns]
    width = (own.amax(0) - own.amin(0)).amax()  # of which squares may vanish beside other columns
    try:
        return group_of((own - own.mean(0)) / width, tuple(columns.tolist()))
    except TooFewPointsError:
        return None


def _difference_from_permuted(rows: Tensor, groups: Sequence[Tensor]) -> float:
    """How far distances are from those of rows whose groups of columns are permuted, each at a scale of its own.

    That is the largest difference of the mean logarithm of those to a neighbour, in standard deviations of these.
    """
    generator = torch.Generator().manual_seed(0)
    rows = rows - rows.mean(0)
    for group in groups:
        rows[:, group] /= rows[:, group].abs().amax()  # of which squares may vanish beside those of others
        rows[:, group] /= rows[:, group].square().mean().sqrt()
    found, places = [], [k - 1 for k in _NEIGHBOURS]
    for _ in range(_PERMUTATIONS):
        orders = [torch.randperm(len(rows), generator=generator).to(rows.device) for _ in groups]
        parts = [rows[order][:, group] for order, group in zip(orders, groups, strict=True)]
        found.append(log_distances(torch.cat(parts, 1))[:, places].mean(0))
    logs = log_distances(rows[:, torch.cat(list(groups))])[:, places]
    permuted = torch.stack(found)
    errors = torch.maximum(permuted.std(0), _LEAST_ERROR * logs.std(0) / math.sqrt(len(logs)))
    return float(((logs.mean(0) - permuted.mean(0)) / errors).abs().amax())
