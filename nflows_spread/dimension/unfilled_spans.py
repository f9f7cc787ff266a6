"""Linear spans that points surely do not fill: they satisfy equations in them, or columns of theirs are clipped.

Tangent spaces and gaps of a spectrum see the span S of a closed surface in many dimensions, as few points do not show
its curvature, and distances tell S from S − 1 by a few per cent. Where the points satisfy an equation, as those of a
sphere, an ellipsoid or a paraboloid do, they do not have S dimensions; and where columns are clipped, so that nine
tenths of the rows and more are at the smallest or the largest value of one, they do not have as many as there are
columns. One equation may hold up to much noise, several up to little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.dimension.polynomial_equations import HIGHEST_DEGREE, Variety, variety_of
from nflows_spread.dimension.shells import PrincipalCoordinates
from nflows_spread.linalg.distances import nearest_neighbours

_THIN = 0.3
"""The relative standard deviation of the distances to the surface over that of the distances from the centre of a ball,
a ratio, up to which no ball has it. A choice: of the sets that were looked at spheres with 5 % of noise have 0.2 and
what fills its span 0.4 and more."""

_ACROSS = 0.1
"""Of the squared step in a span from a point to its nearest neighbour, the share that leads off the surface over that
of any one direction, 1 / S: a ratio, in the mean over points, up to which the surface is thin beside the distances
between points. A choice: in what fills the span, and in clusters that do and whose centres alone lie on a sphere, it is
about 1."""

_BEYOND = 4.0
"""The variance along the widest axis beyond the span over that of the distances to the surface, a ratio, up to which
both are noise: a choice. A sphere that is wide in another direction too may fill as many dimensions as it spans."""

_SPREAD = 0.1
"""The median over the mean of the squared distances to the centre, in units of the axes, from which on it is not a few
rows alone that are away from it. A choice: on a sphere it is about 1, or 0.3 where most points are near one of its
points, and of a few outliers a millionth."""

_SURE = 8.0
"""What is held against a span that points surely do not fill, in nats. A choice: what neighbours hold against a
dimension at the most."""

_ROWS_PER_COEFFICIENT = 6
"""Points for each coefficient of a surface, at the least: a sphere has S + 1, another quadric 2 S. A choice."""

_RIDGE, _RESOLUTION = 1e-12, 1e-12
"""What is added to the diagonal of normalized products, which are singular where several equations hold, and the
variance over the largest one that is rounding. Choices."""

_ROWS = 2_000
"""Rows of which columns are looked at for bounds, the first ones: a choice, for time."""

_ALL_BUT = 0.1
"""The share of the rows that may be at fewer bounds: a choice."""

_TIED, _PILED_UP = 0.01, 4
"""The share of ties among the values of a column that are at no bound up to which they are continuous, and how many
times as many rows as the most frequent of these a bound has where they are not: choices. Of a column of counts or of
levels the smallest is no bound, of one of zeros and counts it may be."""


@dataclass(frozen=True)
class UnfilledSpans:
    """Dimensions K that points surely do not have, as they do not fill a linear span of K dimensions.

    Attributes:
        quadrics: the K for which the K leading principal coordinates x satisfy Σ a x² + Σ b x = 1, as on a sphere, an
            ellipsoid or a paraboloid. Other equations may hold too, so that it is not said that they have K − 1.
        faces: from the number of columns in which nine tenths of the rows are at no bound, plus one, to the number of
            columns.
        variety: of all polynomial equations that hold, or None where there are none.
    """

    quadrics: tuple[int, ...] = ()
    faces: tuple[int, ...] = ()
    variety: Variety | None = None

    def most(self, features: int) -> int:
        """The dimension that the points have at the most, D where nothing is known of it."""
        if self.variety is None or not self.variety.exact:
            return features
        return min(features, self.variety.dimension)

    def end_at(self, dimension: int) -> bool:
        """Whether the points surely have no dimension more than this one and yet may fill it."""
        variety = self.variety
        sure = variety is not None and variety.exact and variety.clear and variety.dimension == dimension
        return sure or dimension + 1 in self.quadrics

    @property
    def covered(self) -> tuple[int, ...]:
        """What an interval covers because of equations."""
        return () if self.variety is None else self.variety.covered

    @property
    def said(self) -> tuple[str, ...]:
        """What speaks against one number, a sentence or none."""
        return () if self.variety is None else self.variety.said

    def of_equations(self, features: int) -> list[float]:
        """Log-evidence of the variety for K = 1 … D, in nats; none where there is none."""
        return [] if self.variety is None else self.variety.log_evidence(features)

    def of_tangent_spaces(self, nats: Sequence[float]) -> list[float]:
        """Log-evidence for K = 1 … D, in nats: what they say of such a K, which they see, is said of K − 1."""
        return self._moved(nats, {*self.quadrics, *self.faces}, lambda own: own - _SURE)

    def of_gaps(self, nats: Sequence[float]) -> list[float]:
        """The same of gaps, in nats of at least 0: that below the span of a quadric is worth nothing.

        That below as many axes as there are columns is said of those at no bound, as these are counted.
        """
        kept = [0.0 if dimension in self.quadrics else own for dimension, own in enumerate(nats, start=1)]
        return self._moved(kept, self.faces, lambda own: 0.0)

    @staticmethod
    def _moved(nats: Sequence[float], spans: Iterable[int], left: Callable[[float], float]) -> list[float]:
        found = list(nats)
        for dimension in sorted(spans, reverse=True):
            if 1 < dimension <= len(found):
                found[dimension - 2] = max(found[dimension - 2 : dimension])
                found[dimension - 1] = left(found[dimension - 1])
        return found


ALL_FILLED = UnfilledSpans()
"""Where nothing is ruled out."""


def unfilled_spans(x: Tensor, principal: PrincipalCoordinates) -> UnfilledSpans:
    """The dimensions that the points surely do not have.

    Args:
        x: distinct, independent points in random order, shape (n, D), of which the first 2 000 are looked at.
        principal: theirs.
    """
    variety = None if _any_of_levels(x[:_ROWS]) else variety_of(principal)
    return UnfilledSpans(_spans_of_quadrics(x, principal), _spans_of_faces(x[:_ROWS]), variety)


def _any_of_levels(rows: Tensor) -> bool:
    """Whether a column has so few values that they are roots of a polynomial, which say nothing of its dimension."""
    values = rows.sort(dim=0).values
    count = 1 + (values[1:] > values[:-1]).sum(0)
    return bool(((count > 1) & (count <= HIGHEST_DEGREE)).any())


def _spans_of_quadrics(x: Tensor, principal: PrincipalCoordinates) -> tuple[int, ...]:
    """The S whose leading principal coordinates lie on a sphere, or a quadric along them, the others being noise."""
    left, deviations = principal
    size = len(left)
    if not bool(deviations[0] > 0.0):
        return ()
    variances = (deviations / deviations[0]).square()
    most = min(size // _ROWS_PER_COEFFICIENT, int((variances > _RESOLUTION).sum()))
    coordinates = math.sqrt(size) * left[:, :most]  # of variance 1
    few = min(most, size // (2 * _ROWS_PER_COEFFICIENT))
    surfaces = _spheres(coordinates, variances[:most]), _quadrics(coordinates[:, :few])
    thin = [[span for span in range(2, most + 1) if each.thin(span)] for each in surfaces]
    found: set[int] = set()
    if not any(thin):
        return ()
    near = nearest_neighbours(x[:size], x[:size], 2).indices[:, 1]
    for surface, spans in zip(surfaces, thin, strict=True):
        for span in spans:
            within = coordinates[:, :span] * variances[:span].sqrt()
            across = 0.5 * surface.error(span) * math.sqrt(variances[:span].sum())  # half, as distances enter squared
            steps, off = (within - within[near]).square().sum(1), (across - across[near]).square()
            share = span * off / steps.clamp_min(torch.finfo(steps.dtype).tiny)
            beyond = float(variances[span]) if span < len(variances) else 0.0
            noise = beyond <= _BEYOND * float(across.square().mean()) + _RESOLUTION
            if noise and float(share.mean()) <= _ACROSS and _spread_out(coordinates[:, :span]):
                found.add(span)
    return tuple(sorted(found))


@dataclass(frozen=True)
class _Surfaces:
    """Quadratic forms that are about 1 at all points, one for each number S of leading coordinates.

    Attributes:
        relative: the relative standard deviations of distances from the centre, for S = 1 … r.
        error: what the one of S coordinates has at each point less 1.
    """

    relative: Tensor
    error: Callable[[int], Tensor]

    def thin(self, span: int) -> bool:
        """Whether no ball has distances that vary so little."""
        known = span <= len(self.relative)
        return known and float(self.relative[span - 1]) * math.sqrt(span * (span + 2.0)) < _THIN


def _spheres(coordinates: Tensor, variances: Tensor) -> _Surfaces:
    """|x|² a + Σ b x = 1 by least squares, where the coordinates are orthogonal to each other and to 1."""
    size = len(coordinates)
    squares = (variances * coordinates.square()).cumsum(1)
    slopes = coordinates.mT @ squares / size
    along = slopes.square().cumsum(0).diagonal()
    mean, left = squares.mean(0), (squares.square().mean(0) - along).clamp_min(torch.finfo(along.dtype).tiny)
    share = mean.square() / left

    def error(span: int) -> Tensor:
        values = squares[:, span - 1] - coordinates[:, :span] @ slopes[:span, span - 1]
        return values * (mean[span - 1] / left[span - 1]) - 1.0

    coefficients = torch.arange(1, len(variances) + 1, device=share.device) + 1
    return _Surfaces(_relative(share, size, coefficients), error)


def _quadrics(coordinates: Tensor) -> _Surfaces:
    """Σ a x² + Σ b x = 1 by least squares, for all S by one Cholesky factor of the products of the terms."""
    size, most = coordinates.shape
    terms = torch.stack([coordinates.square(), coordinates], dim=2).flatten(1)  # the two of each beside each other
    terms = terms / terms.square().mean(0).sqrt()
    ridge = _RIDGE * torch.eye(2 * most, dtype=terms.dtype, device=terms.device)
    factor, failed = torch.linalg.cholesky_ex(terms.mT @ terms / size + ridge)
    if most == 0 or bool(failed):  # as where a few rows are far from all others
        return _Surfaces(terms.new_empty(0), lambda span: terms.new_empty(0))
    explained = torch.linalg.solve_triangular(factor, terms.mean(0).unsqueeze(1), upper=False)

    def error(span: int) -> Tensor:
        own = factor[: 2 * span, : 2 * span].mT
        weights = torch.linalg.solve_triangular(own, explained[: 2 * span], upper=True)
        return (terms[:, : 2 * span] @ weights).squeeze(1) - 1.0

    share = explained.square().flatten().cumsum(0)[1::2]
    coefficients = 2 * torch.arange(1, most + 1, device=share.device)
    return _Surfaces(_relative(share, size, coefficients), error)


def _relative(share: Tensor, size: int, coefficients: Tensor) -> Tensor:
    """Of a regression of 1 with that share of it explained, half the relative error, as distances enter squared."""
    share = share.clamp(torch.finfo(share.dtype).tiny, 1.0)
    return 0.5 * ((1.0 - share) * size / (size - coefficients)).sqrt() / share


def _spread_out(coordinates: Tensor) -> bool:
    """Whether not a few rows alone are away from the centre."""
    squares = coordinates.square().sum(1)
    return bool(squares.median() >= _SPREAD * squares.mean())


def _spans_of_faces(rows: Tensor) -> tuple[int, ...]:
    """What is more than the columns in which nine tenths of the rows are at no bound, up to the number of columns.

    A bound is the smallest or the largest value of a column, where several rows share it, most do not, and other values
    are hardly shared or by far fewer. Equal columns count once, and those that do not vary not at all.
    """
    columns = rows[:, rows.amin(0) < rows.amax(0)].unique(dim=1)
    ends = torch.stack([columns.amin(0), columns.amax(0)])
    at = columns == ends.unsqueeze(1)
    shared = at.sum(1)
    asked = ((shared > 1) & (2 * shared < len(rows))).any(0)
    bounds = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    for column in asked.nonzero().flatten().tolist():
        inner = columns[~at[:, :, column].any(0), column]
        counts = inner.unique(return_counts=True)[1]
        ties, most = 1.0 - len(counts) / max(len(inner), 1), int(counts.max()) if len(counts) else len(rows)
        fewest = 2 if ties <= _TIED else _PILED_UP * most + 1
        of_column = shared[:, column]
        clipped = (of_column >= fewest) & (2 * of_column < len(rows))
        bounds += (at[:, :, column] & clipped.unsqueeze(1)).any(0)
    count = columns.shape[1]
    at_all_but = int(bounds.sort().values[int(_ALL_BUT * len(rows))]) if len(rows) else 0
    return tuple(range(max(2, count - at_all_but + 1), count + 1))
