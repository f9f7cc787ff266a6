"""Intrinsic dimension by local PCA: subspaces on which two halves of each neighbourhood agree (split-half stability).

Among the k nearest neighbours of a point the principal axes of the manifold are the same in any half of them. Axes
within a block of equal variances, of the tangent space or of the noise, are a matter of chance. So the K leading axes
of two disjoint halves span the same space at the K of a manifold, and at no other, however small the gap between the
eigenvalues is and whatever the variance of the noise. A closed surface shows two such K, its own and that of its
linear span: both count, and distances to neighbours choose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nflows_spread.argument_types import typed
from nflows_spread.arrays import on_cpu_by_default, points_of
from nflows_spread.dimension.distinct_points import distinct_points
from nflows_spread.dimension.rules import likeliest
from nflows_spread.dimension.stable_subspaces import StableSubspace, corrected, stable_subspaces
from nflows_spread.linalg.distances import nearest_neighbours

SIZES = (40, 60, 80, 120, 160, 240)
"""Numbers of neighbours of a point, from the least that is asked about. By trials on sets that are not the benchmark's,
30 to 60: by 40 more dimensions are right than by 30 or 60, with thin directions and few points above all. 240 of 2 000
show a tangent space of 30 dimensions."""

_FEWEST = 20
"""Neighbours of a point where the points are few, at the least. A choice."""

_SHARE = 0.3
"""The share of the points that are asked about as neighbours of one of them, at the most. A choice."""

_LOCAL = 0.03
"""The share of the points up to which all numbers of neighbours are asked about where none surely shows a subspace:
among many points the nearest are nearer than noise. A choice, 60 of 2 000; larger shares of solid sets show edges."""

_POINTS = 200
"""Points whose neighbourhoods are split, at most. A choice, for time: the mean agreement is known to a few per cent."""

_LEAP = 8.0
"""The surprisal of a leap of the distance from one neighbour to the next, in nats, from which on the next is of another
piece: all halves share the direction to it. A choice, e⁻⁸ for each neighbour on a line and less in more dimensions."""

_MOST_LEAPING = 0.25
"""The share of neighbourhoods that reach into another piece, above which nothing is said by so many neighbours. A
choice: up to 0.04 on the random manifolds, and 0.9 where clusters have fewer points."""

_PER_DIMENSION = 4
"""Neighbours of a half, at the least, in units of K. By trials on random manifolds that are not the benchmark's, 2, 3
and 4."""

_STABLE, _SLOPE = 0.65, 12.0
"""The agreement that is as likely of a tangent space as of none, and the log-odds of each unit more, in nats. By trials
on the same manifolds, where solid cubes and balls reach 0.5 and products of spheres fall to 0.5."""

_SURE, _UNSURE = 4.0, 2.0
"""The log-odds for a smaller subspace and those against one, in nats, at the most: what two halves share is there, what
they do not may need more points. By trials on the same manifolds, 3 to 5 and 1 to 4."""

_NEARLY, _ALIKE = 0.99, 1.0
"""The agreement over that of a stable subspace, a ratio, of one that few neighbours may have taken for it, and by how
much less likely it is, in nats. By trials on the same manifolds, 0.95 to 0.99 and 0.5 to 2."""

_SEEN = 0.4
"""The agreement of a subspace that more neighbours may show more clearly. A choice, between what is followed and what
is as likely as not."""

_ROUNDING = 1e-13
"""A variance over the largest one, a ratio, below which an axis is rounding alone. A choice, above what products leave
in float64."""


@dataclass(frozen=True)
class TangentSpaces:
    """What local principal axes say about the dimension of a set of points.

    Attributes:
        features: D.
        neighbours: numbers k of neighbours that were asked about, ascending; the last one decides.
        agreement: for each of them the mean over points of tr(P P′)/K for K = 1, 2, …, fewer than k/2.
        variances: for each of them the mean variance along each local axis, descending, in units of the data squared.
        squares: the mean squared distances to the nearest neighbours, ascending, in the same units.
    """

    features: int
    neighbours: tuple[int, ...]
    agreement: tuple[tuple[float, ...], ...]
    variances: tuple[tuple[float, ...], ...]
    squares: tuple[float, ...]

    def in_units_of(self, scale: float) -> TangentSpaces:
        """The same for data that is ``scale`` times larger."""
        return replace(
            self,
            variances=tuple(tuple(scale**2 * value for value in values) for values in self.variances),
            squares=tuple(scale**2 * value for value in self.squares),
        )

    @property
    def stable(self) -> tuple[StableSubspace, ...]:
        """The stable subspaces by the number of neighbours that decides, the largest first."""
        return stable_subspaces(self.agreement[-1], self.features)

    @property
    def log_evidence(self) -> list[float]:
        """For K = 1 … D, in nats, 0 for the best: the log-probability that each step down to K is real and no other is.

        A step is one from a stable dimension, D among them, to the next smaller. Below the last step that is likely,
        and of a surface of one dimension less than any, which few points do not show, as the faces of a cube, the
        log-odds are 2 nats less, and of all others 4. What has more dimensions than a quarter of the neighbours is as
        likely as D.
        """
        steps = self.stable
        dimensions = [self.features, *(step.dimension for step in steps)]
        nats = [-math.inf] * self.features
        so_far = 0.0
        for place, (dimension, below) in enumerate(zip(dimensions, [*steps, None], strict=True)):
            odds = -math.inf if below is None else min(max(_SLOPE * (below.agreement - _STABLE), -_UNSURE), _SURE)
            here = so_far + _log_sigmoid(-odds)
            nats[dimension - 1] = max(nats[dimension - 1], here)
            for alike in self._as_stable_as(steps[place - 1], dimensions[place - 1]) if place else ():
                nats[alike - 1] = max(nats[alike - 1], here - _ALIKE)
            for smaller in range(1 if odds < 0.0 else max(1, dimension - 1), dimension):
                nats[smaller - 1] = max(nats[smaller - 1], here - _UNSURE)
            so_far += _log_sigmoid(odds)
        shown = min(_shown(self.neighbours[-1]), len(self.agreement[-1]))
        nats[shown:] = [max(value, nats[-1]) for value in nats[shown:]]
        best = max(nats)
        return [max(value - best, -_SURE) for value in nats]

    def _as_stable_as(self, step: StableSubspace, within: int) -> list[int]:
        """The dimensions of other subspaces within S dimensions that are almost as stable as that one."""
        values = corrected(self.agreement[-1], within)
        return [k for k, value in enumerate(values, 1) if k != step.dimension and value >= _NEARLY * step.agreement]

    @property
    def dimension(self) -> int:
        """The K with the most ``log_evidence``, the largest of several."""
        return likeliest(self.log_evidence)

    @property
    def noise_variance(self) -> float:
        """The ``residual_variance`` beyond the largest subspace that is as likely one of tangents as not, or 0.

        And where a single direction is beyond, which is as likely a thin one of the data.
        """
        likely = [step.dimension for step in self.stable if step.agreement > _STABLE]
        return self.residual_variance(max(likely)) if likely and max(likely) < self.features - 1 else 0.0

    def residual_variance(self, dimension: int) -> float:
        """The mean variance along each axis beyond the first K, by the fewest neighbours, in units of the data squared.

        Of noise it is the variance; curvature adds to it.
        """
        if dimension >= self.features or not self.variances[0]:
            return 0.0
        return sum(self.variances[0][dimension:]) / (self.features - dimension)


@on_cpu_by_default
@typed
def tangent_spaces(x: Any, *, generator: torch.Generator | None = None) -> TangentSpaces:
    """Local principal axes of points and how far those of two halves of each neighbourhood agree.

    More neighbours are asked about as long as the smallest subspace that is seen has too many dimensions for so few,
    or none is sure by 3 % of the points; the most where none is seen and so few cannot show that there is none. Where
    most neighbourhoods reach into other pieces of the data nothing is said.

    Args:
        x: points, a tensor of shape (n, ...), or a NumPy array or a data frame. Repeated points count once.
        generator: source of the choice of 200 points and of the halves; by default that of seed 0.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or has fewer than 50 distinct points.

    References:
        K. Fukunaga, D. Olsen, An algorithm for finding intrinsic dimensionality of data, IEEE Trans. Comp. 20, 1971.
        A. Knyazev, M. Argentati, Principal angles between subspaces, SIAM J. Scientific Computing 23, 2002.
    """
    return tangent_spaces_of_distinct(distinct_points(points_of("x", x))[0], generator=generator)


def tangent_spaces_of_distinct(points: Tensor, *, generator: torch.Generator | None = None) -> TangentSpaces:
    """The same of distinct points, (n, D) in float64."""
    source = torch.Generator().manual_seed(0) if generator is None else generator
    asked = torch.randperm(len(points), generator=source, device="cpu")[:_POINTS].to(points.device)
    sizes = [k for k in SIZES if k <= _SHARE * len(points)] or [max(_FEWEST, int(_SHARE * len(points)))]
    distances, near = (found[:, 1:] for found in nearest_neighbours(points[asked], points, sizes[-1] + 1))
    squares = tuple(distances.square().mean(0).tolist())
    features = points.shape[1]
    seen: list[StableSubspace] = []
    numbers: list[int] = []
    agreement: list[tuple[float, ...]] = []
    variances: list[tuple[float, ...]] = []
    for k in sizes:
        if agreement and not seen and features > _shown(numbers[-1]) and k < sizes[-1]:
            continue
        order = torch.rand(len(near), k, generator=source, device="cpu").argsort(1).to(points.device)
        if float(_leaping(distances[:, :k]).double().mean()) > _MOST_LEAPING:
            break
        one, other = (points[half] for half in near[:, :k].gather(1, order).split(k // 2, dim=1)[:2])
        shared, along = _agreement_of(one, other)
        numbers.append(k)
        agreement.append(tuple(shared.mean(0).tolist()))
        variances.append(tuple(along.mean(0).tolist()))
        seen = [stable for stable in stable_subspaces(agreement[-1], features) if stable.agreement > _SEEN]
        enough = _PER_DIMENSION * seen[-1].dimension <= k // 2 if seen else features <= _shown(k)
        if enough and (k >= _LOCAL * len(points) or (seen and seen[-1].agreement > _STABLE)):
            break
    if not numbers:
        return TangentSpaces(features, (sizes[0],), ((),), ((),), squares)
    return TangentSpaces(features, tuple(numbers), tuple(agreement), tuple(variances), squares)


def _shown(neighbours: int) -> int:
    """The dimensions up to which halves of so many neighbours show that nothing is stable: half their rows."""
    return neighbours // 4


def _leaping(distances: Tensor) -> Tensor:
    """Which neighbourhoods reach into another piece of the data, (m,), from distances to neighbours, (m, k).

    Of independent draws in K dimensions (r_j / r_{j+1})^(jK) is uniform on [0, 1].
    """
    places = torch.arange(1, distances.shape[1], device=distances.device)
    return (places * (distances[:, 1:] / distances[:, :-1]).log() > _LEAP).any(1)


def _agreement_of(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """tr(P P′)/K for K = 1 … r and the mean variances along both sets of axes, (m, r), of patches (m, h, D) of points.

    From products of rows where they are fewer than the features, so that no axis of D numbers is made: with Y = UΛ^½Vᵀ
    the cosines of V and V′ are Λ^−½ Uᵀ (Y Y′ᵀ) U′ Λ′^−½.
    """
    one, other = (patch - patch.mean(1, keepdim=True) for patch in (one, other))
    degrees = one.shape[1] - 1
    if one.shape[2] <= degrees:
        (variances, axes), (variances_of_other, axes_of_other) = (
            _descending(patch.mT @ patch / degrees, one.shape[2]) for patch in (one, other)
        )
        cosines = (axes * _varies(variances)).mT @ (axes_of_other * _varies(variances_of_other))
    else:
        (variances, rows), (variances_of_other, rows_of_other) = (
            _descending(patch @ patch.mT / degrees, degrees) for patch in (one, other)
        )
        unit, unit_of_other = (
            rows_of * _varies(along) * along.clamp_min(torch.finfo(along.dtype).tiny).rsqrt().unsqueeze(1)
            for rows_of, along in ((rows, variances), (rows_of_other, variances_of_other))
        )
        cosines = unit.mT @ (one @ other.mT / degrees) @ unit_of_other
    shared = cosines.square().cumsum(1).cumsum(2).diagonal(dim1=1, dim2=2)
    dimensions = torch.arange(1, shared.shape[1] + 1, device=shared.device)
    return shared / dimensions, 0.5 * (variances + variances_of_other)


def _descending(products: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """So many of the largest eigenvalues, (m, r), and eigenvectors, (m, p, r), of positive matrices, (m, p, p)."""
    values, vectors = torch.linalg.eigh(products)
    return values.flip(1)[:, :number].clamp_min(0.0), vectors.flip(2)[:, :, :number]


def _varies(variances: Tensor) -> Tensor:
    """1 or, for an axis that is rounding alone and so agrees with none, 0, (m, 1, r), from variances (m, r)."""
    return (variances > _ROUNDING * variances[:, :1]).unsqueeze(1).to(variances.dtype)


def _log_sigmoid(nats: float) -> float:
    """log(1 / (1 + e⁻ˣ)), also of infinities."""
    return -math.log1p(math.exp(-nats)) if nats > -math.inf else -math.inf
