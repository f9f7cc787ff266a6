"""Polynomial equations that points satisfy, and the dimension of the variety that these leave.

Poses of a robot, atoms of a molecule whose bonds keep their lengths, rotations, products of spheres, polynomials of a
few numbers: such points satisfy polynomial equations, and have at most as many dimensions as there are directions in
which no equation is steep, D − rank ∇q (Breiding, Kališnik, Sturmfels and Weinstein, "Learning algebraic varieties from
samples", 2018). An equation q(x) = 0 holds up to the root of E q² / E |∇q|², to first order the distance of the points
from its surface (Taubin, "Estimation of planar curves, surfaces, and nonplanar space curves", 1991). In coordinates of
variance 1 along principal axes the gradients of products of two are orthogonal in the mean, and the equations of degree
two that hold best are the last principal axes of products that are scaled by their gradients; of higher degrees nearly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.dimension.shells import PrincipalCoordinates
from nflows_spread.linalg.distances import nearest_neighbours
from nflows_spread.linalg.monomials import Monomials, number_of_monomials

_EXACT, _ROUGH = 1e-6, 1e-3
"""How far points are from the surface of an equation that holds exactly, over the standard deviation along the widest
axis: above the rounding of float32; and of one that holds roughly. Choices, between which no answer on systems made of
rotations and bars changes, and that of curved surfaces which low degrees approximate does."""

_BETWEEN, _DECADE = 0.1, 10.0
"""The distance up to which equations hold roughly over that between nearest points, at the most, as what is narrow
beside it and wide beside these is no matter of precision: separate pieces far from each other. And the least ratio of
rough to exact. Choices."""

_SPREAD, _NEAR = 0.1, 10.0
"""The median distance from the middle over the standard deviation along the widest axis, a ratio, below which a few
rows are far from all others, and satisfy equations that these do not; and how many times farther from one surface than
that distance times what an equation holds to the median point may be. Choices."""

_STEEP = 1e-2
"""The slope of equations in a direction that they rule out, over the steepest, a ratio. By trials on 23 systems: with
it no count of what equations of degree two leave is below their number of degrees of freedom."""

HIGHEST_DEGREE = 4
"""A choice: that of a torus."""

_ROWS_PER_PRODUCT = 1.5
"""Points for each coefficient of an equation, at the least, a ratio: through fewer than one there are surfaces that say
nothing. A choice: of normal draws no equation holds better than to a hundredth then."""

_POINTS = 200
"""Points at which slopes are looked at, the first ones: a choice, for time."""

_NOISY, _GAP, _STEEP_IN_NOISE, _BEYOND = 0.03, 5.0, 0.1, 3.0
"""Under noise: the largest distance from an equation's surface, over the standard deviation along the widest axis; how
many times farther the points are from the next one's, at the least; the slope of a direction that is ruled out, over
the steepest; and the width of an axis that is more than noise, over that distance. By trials on 350 sets of 1 000
points with 0.1, 0.5 and 2 % of noise, of which 448 satisfy such equations: they leave the dimension on 371, fewer on
none, and more on surfaces made to satisfy others that are no polynomials."""

_MOST_PRODUCTS = 660
"""The number of coefficients up to which equations are looked for under noise, of 34 axes: a choice, for time."""

_MANY, _FEW = 3, 20
"""One in how many points reaches the dimension that is called that of the variety, and the highest that it may be.
Choices: as of the parts of data whose dimension varies; at single points surfaces cross."""

_FILLED, _SURE = 6.0, 20.0
"""Nats for the dimension of a variety that is the same for exact and rough equations over those below, as points of
fewer dimensions satisfy more equations unless these are of a higher degree. By trials on 356 sets of 400 to 2 000
points, bars, poses, minors and graphs of polynomials, and surfaces of no degree on spheres and graphs: of 273 whose
dimension the equations leave ``dimension_of`` is right on 236 (with 4 nats 208, with 8 246, without 134), of 83 on
fewer dimensions on 42 (43, 30, 45). And nats against those above: a choice, more than all else says together."""

_CURVES, _ONE = 2, 1
"""The dimension of a variety, and the number of dimensions that it is less than the points span, up to which nothing is
said for it: curves on surfaces of low degree are many, as a knot on a torus, and so are rows that were divided by their
norm. Choices."""


@dataclass(frozen=True)
class Variety:
    """The set on which the polynomial equations hold that points satisfy.

    Attributes:
        dimension: its dimension by equations that hold to a millionth of the data's width, which the points surely do
            not exceed, or up to noise.
        rough: that by equations that hold to a thousandth, or a tenth of the distance between nearest points where
            that is less; under noise the same.
        spanned: principal axes that are wider than what equations hold up to.
        noise: the distance of points from the surfaces of the equations over the standard deviation along the widest
            axis, a ratio, or 0 where they hold exactly.
    """

    dimension: int
    rough: int
    spanned: int
    noise: float = 0.0

    @property
    def clear(self) -> bool:
        """Whether both are the same, so that it is no matter of precision which equations hold."""
        return self.dimension == self.rough

    @property
    def exact(self) -> bool:
        """Whether the points surely have no dimension more."""
        return self.noise == 0.0

    def log_evidence(self, features: int) -> list[float]:
        """For K = 1 … D, in nats; of no K below that of the variety where it is not clear, a surface or a curve."""
        below = -_FILLED if self.filled else 0.0
        above = -_SURE if self.exact else below
        return [below if k < self.dimension else 0.0 if k == self.dimension else above for k in range(1, features + 1)]

    @property
    def covered(self) -> tuple[int, ...]:
        """What the interval covers because of it, as fewer dimensions than it has may be all that is wide."""
        return (self.rough, self.dimension) if self.filled or not self.clear else ()

    @property
    def filled(self) -> bool:
        """Whether it is likely that the points fill it."""
        return self.clear and self.dimension > _CURVES and self.spanned - self.dimension > _ONE

    @property
    def said(self) -> tuple[str, ...]:
        """What speaks against one number, a sentence or none."""
        if self.clear:
            return ()
        return (
            f"the equations that the points satisfy to a millionth of their width leave {self.dimension} dimensions, "
            f"those that hold to about a thousandth {self.rough}: some directions are that narrow, so the dimension is "
            "a matter of precision",
        )


def variety_of(principal: PrincipalCoordinates) -> Variety | None:
    """The variety of the equations that points satisfy, exactly or up to noise, or None where they satisfy none.

    Equations are of degree two, and where they hold exactly of higher ones up to four, if those alone tell clearly that
    fewer dimensions are left. They are looked for where there are one and a half times as many points as coefficients:
    of 2 000 points and degree two along up to 50 principal axes, of degree three 17, of degree four 10.

    Args:
        principal: those of distinct, independent points.
    """
    left, deviations = principal
    if not bool(deviations[0] > 0.0):
        return None
    widths = deviations / deviations[0]
    widths = widths[widths > _EXACT]
    degrees = [degree for degree in range(2, HIGHEST_DEGREE + 1) if _enough(len(left), len(widths), degree)]
    if len(widths) < 2 or not degrees:
        return None
    coordinates = math.sqrt(len(left)) * left[:, : len(widths)]
    points = widths * coordinates
    width = float((points - points.median(0).values).square().sum(1).median().sqrt())
    near = nearest_neighbours(points[:_POINTS], points, 2).distances[:, 1]
    rough = min(_ROUGH, _BETWEEN * float(near.median()))
    if width < _SPREAD or rough < _DECADE * _EXACT:
        return None
    squares = Monomials(2, coordinates, widths, points=_POINTS)
    found: Variety | None = None
    for degree in degrees:
        monomials = squares if degree == 2 else Monomials(degree, coordinates, widths, points=_POINTS)
        variety = _exact(monomials, widths, rough=rough, near=_NEAR * width)
        if variety is None or (degree > 2 and not variety.clear):
            continue
        if found is None or variety.dimension < found.dimension:
            found = variety
    if found is None and len(squares.products) <= _MOST_PRODUCTS:
        return _under_noise(squares, widths)
    return found


def _enough(points: int, axes: int, degree: int) -> bool:
    return points >= _ROWS_PER_PRODUCT * number_of_monomials(axes, degree)


def _under_noise(monomials: Monomials, widths: Tensor) -> Variety | None:
    """That of equations of degree two, from whose surfaces the points are much less far than from those of others."""
    if monomials.farther_than(_NOISY):
        return None
    variances, vectors = torch.linalg.eigh(monomials.products)
    distances = variances.clamp_min(_EXACT**2).sqrt()
    found: Variety | None = None
    for place in ((distances[1:] >= _GAP * distances[:-1]) & (distances[:-1] <= _NOISY)).nonzero().flatten().tolist():
        noise = float(distances[place])
        steep = _steep_directions(monomials.slopes(vectors[:, : place + 1]), _STEEP_IN_NOISE).sort().values
        dimension = len(widths) - int(steep[len(steep) // _MANY])
        everywhere = dimension == len(widths) - int(steep[len(steep) // _FEW])
        spanned = int((widths > _BEYOND * noise).sum())
        if everywhere and 0 < dimension < (spanned if found is None else found.dimension):
            found = Variety(dimension, dimension, spanned, noise)
    return found


def _steep_directions(slopes: Tensor, least: float) -> Tensor:
    """The number of directions in which some equation has that share of the steepest slope, at each point.

    Args:
        slopes: gradients of m equations at n points, (n, m, r).
        least: a ratio.
    """
    squares = torch.linalg.eigvalsh(slopes.mT @ slopes)
    return ((squares > least**2 * squares[:, -1:]) & (squares > 0.0)).sum(1)


def _exact(monomials: Monomials, widths: Tensor, *, rough: float, near: float) -> Variety | None:
    """That of equations to whose surfaces the median point is as near as it has to, up to a factor."""
    if monomials.farther_than(_EXACT):
        return None
    variances, vectors = torch.linalg.eigh(monomials.products)

    def left_over(held: float, reached_by_one_in: int) -> int:
        equations = vectors[:, variances <= held**2]
        slopes = monomials.slopes(equations)
        steepest = slopes.square().sum(2).sqrt().clamp_min(torch.finfo(slopes.dtype).tiny)
        distances = (monomials.terms[:_POINTS] @ equations).abs() / steepest
        slopes = slopes[:, distances.median(0).values <= near * held]
        steep = _steep_directions(slopes, _STEEP).sort().values
        return len(widths) - int(steep[len(steep) // reached_by_one_in])

    found = left_over(_EXACT, _FEW)
    return None if found in (0, len(widths)) else Variety(found, max(1, left_over(rough, _MANY)), len(widths))
