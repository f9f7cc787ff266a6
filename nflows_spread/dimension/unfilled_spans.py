"""Linear spans that points surely do not fill: they lie on an ellipsoid in them, or on faces that clip their columns.

Tangent spaces and gaps of a spectrum see the span S of a closed surface in many dimensions, as few points do not show
its curvature, and distances tell S from S − 1 by a few per cent. Where the points satisfy an equation, as those of an
ellipsoid do, or share the largest or the smallest value of a column, as those of a cube's faces do, S is ruled out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.dimension.shells import PrincipalCoordinates

_THIN = 0.3
"""The relative standard deviation of the distances to the surface over that of the distances from the centre of a ball,
a ratio, up to which no ball has it."""

_UNSEEN = 0.5
"""The standard deviation of these distances over the part along one axis of that to a nearest neighbour, which of S is
1 / √S, a ratio, up to which points do not show that the surface is a thick one. A choice: of solid clusters, as few as
an ellipsoid has coefficients, it is 0.9 and more."""

_BEYOND = 4.0
"""The variance along the widest axis beyond the span over that of the distances to the surface, a ratio, up to which
both are noise: a choice. A sphere that is wide in another direction too may fill as many dimensions as it spans."""

_SURE = 8.0
"""What is held against a span that points surely do not fill, in nats. A choice: what neighbours hold against a
dimension at the most."""

_ROWS_PER_COEFFICIENT = 6
"""Points for each coefficient of a surface, at the least: a sphere has S + 1, an ellipsoid 2 S. A choice."""

_RIDGE, _RESOLUTION = 1e-12, 1e-12
"""What is added to the variances of coordinates and their squares, of 1, where several equations hold, and the variance
over the largest one that is rounding. Choices."""


@dataclass(frozen=True)
class UnfilledSpans:
    """The dimensions S of linear spans that points surely do not fill, so that they have not S dimensions.

    Attributes:
        ellipsoids: those in which they satisfy an equation, and maybe others.
        faces: those of more columns than a point leaves at no bound, which is all that rules them out.
    """

    ellipsoids: tuple[int, ...] = ()
    faces: tuple[int, ...] = ()

    def __contains__(self, dimension: int) -> bool:
        return dimension in self.ellipsoids or dimension in self.faces

    def of_tangent_spaces(self, nats: Sequence[float]) -> list[float]:
        """Log-evidence for K = 1 … D: that of a span that is not filled, which they see, is that of a surface in it."""
        return self._moved(nats, {*self.ellipsoids, *self.faces}, lambda own: own - _SURE)

    def of_gaps(self, nats: Sequence[float]) -> list[float]:
        """The same, no less than 0: the gap at the span of an ellipsoid is worth nothing, as it is at any other K."""
        kept = [0.0 if dimension in self.ellipsoids else own for dimension, own in enumerate(nats, start=1)]
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


def unfilled_spans(x: Tensor, principal: PrincipalCoordinates, *, nearest: float) -> UnfilledSpans:
    """The dimensions that the points surely do not have.

    Args:
        x: distinct, independent points, shape (n, D).
        principal: theirs.
        nearest: the median distance of a point to its nearest neighbour, in units of the data.
    """
    return UnfilledSpans(_spans_of_ellipsoids(principal, nearest), _spans_of_faces(x))


def _spans_of_ellipsoids(principal: PrincipalCoordinates, nearest: float) -> tuple[int, ...]:
    """The S for which the S leading principal coordinates lie on a sphere, or on an ellipsoid along them.

    And the others are noise.
    """
    left, deviations = principal
    size, variances = len(left), deviations.square() / len(left)
    most = min(size // _ROWS_PER_COEFFICIENT, int((variances > _RESOLUTION * variances[0]).sum()))
    coordinates = math.sqrt(size) * left[:, :most]  # of variance 1
    across = _from_spheres(coordinates, variances[:most])
    few = min(most, size // (2 * _ROWS_PER_COEFFICIENT))
    across[:few] = torch.minimum(across[:few], _from_ellipsoids(coordinates[:, :few]))
    dimensions = torch.arange(1, most + 1, dtype=across.dtype, device=left.device)
    thickness = across.square() * variances[:most].cumsum(0)
    beyond = torch.cat([variances, variances.new_zeros(1)])[1 : most + 1]
    thin = across * (dimensions * (dimensions + 2.0)).sqrt() < _THIN
    unseen = thickness * dimensions < (_UNSEEN * nearest) ** 2
    noise = beyond <= _BEYOND * thickness + _RESOLUTION * variances[0]
    return tuple(dimensions[thin & unseen & noise & (dimensions > 1)].int().tolist())


def _from_spheres(coordinates: Tensor, variances: Tensor) -> Tensor:
    """The relative standard deviations of distances to the best sphere's centre, (r,), for S = 1 … r coordinates.

    That is |x|² a + Σ b x = 1 by least squares, where the coordinates are orthogonal to each other and to 1.
    """
    size = len(coordinates)
    squares = (variances * coordinates.square()).cumsum(1)
    along = (coordinates.mT @ squares / size).square().cumsum(0).diagonal()
    share = squares.mean(0).square() / (squares.square().mean(0) - along).clamp_min(torch.finfo(along.dtype).tiny)
    return _relative(share, size, torch.arange(1, len(variances) + 1, device=share.device) + 1)


def _from_ellipsoids(coordinates: Tensor) -> Tensor:
    """The same of ellipsoids along the coordinates, infinite where another surface fits better.

    That is Σ a x² + Σ b x = 1 by least squares, for all S by one Cholesky factor of the products.
    """
    size, most = coordinates.shape
    terms = torch.stack([coordinates.square(), coordinates], dim=2).flatten(1)  # the two of each beside each other
    ridge = _RIDGE * torch.eye(2 * most, dtype=terms.dtype, device=terms.device)
    factor = torch.linalg.cholesky(terms.mT @ terms / size + ridge)
    explained = torch.linalg.solve_triangular(factor, terms.mean(0).unsqueeze(1), upper=False)
    share = explained.square().flatten().cumsum(0)[1::2]
    found = _relative(share, size, 2 * torch.arange(1, most + 1, device=share.device))
    for span in (found < _THIN).nonzero().flatten().add(1).tolist():
        own = factor[: 2 * span, : 2 * span].mT
        weights = torch.linalg.solve_triangular(own, explained[: 2 * span], upper=True)
        if not bool((weights[::2] > 0.0).all()):  # a paraboloid, a cylinder
            found[span - 1] = math.inf
    return found


def _relative(share: Tensor, size: int, coefficients: Tensor) -> Tensor:
    """Of a regression of 1 with that share of it explained, half the relative error, as distances enter squared."""
    share = share.clamp(torch.finfo(share.dtype).tiny, 1.0)
    return 0.5 * ((1.0 - share) * size / (size - coefficients)).sqrt() / share


def _spans_of_faces(x: Tensor) -> tuple[int, ...]:
    """Up to the number of columns that vary, what is more than those in which most points are at no bound.

    A bound is the smallest or the largest value of a column, where several points share it and most do not.
    """
    lowest, highest = x.amin(0), x.amax(0)
    varying = lowest < highest
    at_bound = torch.zeros_like(x, dtype=torch.bool)
    for bound in (lowest, highest):
        at = x == bound
        shared = at.sum(0)
        at_bound |= at & ((shared > 1) & (2 * shared < len(x)))
    columns = int(varying.sum())
    return tuple(range(columns - int(at_bound.sum(1).median()) + 1, columns + 1))
