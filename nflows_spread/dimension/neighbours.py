"""The intrinsic dimension at the scale of the nearest neighbours, calibrated on sets of known dimension.

A flow's spectrum needs a chart, and 2 000 points leave much of a strongly curved manifold unseen. Distances
between neighbours need neither, but finite samples and edges bias them low, the more the higher the dimension.
Here that bias is read off simulated sets of the same size, as DANCo does, of three shapes that differ in
what happens at their edges: what they disagree on, the data must decide otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.calibration import (
    NEIGHBOURS,
    SHAPES,
    calibrated,
    inverse_dimensions,
    levels_of,
    log_distances,
    maximum_likelihood,
    trimmed_estimates,
)
from nflows_spread.dimension.independence import evenly_spaced, smeared, without_near_repeats
from nflows_spread.linalg.distances import nearest_neighbours

_NEAR = slice(0, 2)  # the nearest decide: farther ones feel curvature
_FAR = slice(3, 5)  # but noise less
_POINTS = 10_000
_LEAST_ERROR, _LEAST_ERROR_FAR, _LEAST_ERROR_EVEN = 0.05, 0.08, 0.08
_LOCAL = 20
_REPEATED = 0.16
"""How much, in logarithms, the trimmed estimate by three neighbours must exceed the other for a share of the points to
be too near to each other: twice the largest on the random sets."""

_SMEARED = 4  # times that evenly spaced points are moved
_FEWEST = 50
_SHARES = 100
_TREND = 1.5  # the trend from the 3rd to the 40th neighbour goes on below the 3rd


@dataclass(frozen=True)
class NeighbourDimension:
    """A dimension read off distances between neighbours, with how far it can be trusted.

    Attributes:
        value: K, not rounded: the geometric mean over the shapes of ``profile``, for the 3rd and 5th neighbour, or the
            20th and 40th of noisy points.
        below: relative standard error towards smaller dimensions.
        above: relative standard error towards larger dimensions. Wider where every shape's dimension falls
            with the number of neighbours, as it does for densities that vary within a neighbourhood;
            ``below`` where every one rises, as it does on curved or folded manifolds.
        nearest: median distance of a point to its nearest neighbour, in units of the data.
        neighbours: numbers of neighbours k of ``profile``.
        profile: for each shape the dimension by k neighbours, one entry for each of ``neighbours``.
        thickness: standard deviation of isotropic noise that would explain best why ``profile`` falls, in units of the
            data; 0 where it does not fall. A density that varies makes it fall too.
        even: whether the points are spaced more evenly than independent draws, as on a mesh, or rounded. Then
            ``profile`` is that of points moved along the manifold, and ``above`` and ``below`` cover all of it.
    """

    value: float
    below: float
    above: float
    nearest: float
    neighbours: tuple[int, ...]
    profile: Mapping[str, tuple[float, ...]]
    thickness: float = 0.0
    even: bool = False

    def in_units_of(self, scale: float) -> NeighbourDimension:
        """The same for data that is ``scale`` times larger."""
        return replace(self, nearest=self.nearest * scale, thickness=self.thickness * scale)

    @property
    def fall(self) -> float:
        """The dimension by the most neighbours over that by the fewest, the largest over shapes; 1 where one rises."""
        return min(1.0, max(values[-1] / values[0] for values in self.profile.values()))

    def log_plausibility(self, dimension: int) -> float:
        """How well a dimension fits, in nats: 0 for the best, −½ at one standard error."""
        distance = math.log(dimension / self.value)
        return -0.5 * (distance / (self.above if distance > 0.0 else self.below)) ** 2


def neighbour_dimension(
    x: Tensor,
    *,
    noisy: bool = False,
    generator: torch.Generator | None = None,
) -> NeighbourDimension:
    """The dimension of points by the distances to their nearest neighbours.

    The maximum-likelihood estimate for k neighbours, averaged over points as MacKay and Ghahramani do, is
    calibrated: K is the dimension at which as many points, normal, uniform in a cube, or uniform on a
    sphere, give the same estimate. No scale of the data enters, and no model.

    Args:
        x: points, shape (n, ...). Repeated points count once.
        noisy: whether the points have noise in all directions. Then the 20th and 40th neighbour decide,
            and an estimate that falls with the number of neighbours is taken for the noise's trace.
        generator: source of the choice among more than 10 000 points.

    Returns:
        The dimension, its errors and the profile behind it.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or has fewer than 50 distinct points.

    References:
        E. Levina, P. Bickel, Maximum likelihood estimation of intrinsic dimension, NeurIPS 2004.
        C. Ceruti et al., DANCo: an intrinsic dimensionality estimator, Pattern Recognition 47, 2014.
    """
    points, _ = _distinct(x)
    order = torch.randperm(len(points), generator=generator)[:_POINTS].to(points.device)
    points, _ = without_near_repeats(points[order])
    _check_enough(points, len(x))
    logs = log_distances(points)
    profile, error = _profile(logs, len(points), points.shape[1])
    even = evenly_spaced(logs)
    if even:
        profile, error = _profile_of_draws(points, profile, generator)
    deciding = torch.tensor([values[_FAR if noisy else _NEAR] for values in profile.values()]).log()
    trends = [0.0] if noisy else [math.log(values[-1] / values[0]) for values in profile.values()]
    spread = 0.5 * float(deciding.mean(1).max() - deciding.mean(1).min())
    least = _LEAST_ERROR_FAR if noisy else _LEAST_ERROR_EVEN if even else _LEAST_ERROR
    error = math.hypot(least, spread, error)
    falling = max(0.0, -max(trends))
    return NeighbourDimension(
        value=float(deciding.mean().exp()),
        # what is rounded off fills all directions at the scale of its nearest points
        below=error + _TREND * max(0.0, min(trends)) + (falling if even else 0.0),
        # a mesh that is finer along one axis is a bundle of curves at the scale of its nearest points
        above=error + max(_TREND * falling, max(0.0, min(trends)) if even else 0.0),
        nearest=float(logs[:, 0].median().exp()),
        neighbours=NEIGHBOURS,
        profile=profile,
        thickness=_explaining(profile, logs, points.shape[1]) if max(trends) < 0.0 and not even else 0.0,
        even=even,
    )


def _profile(logs: Tensor, points: int, features: int) -> tuple[dict[str, tuple[float, ...]], float]:
    """The dimension by each number of neighbours for each shape, and the relative standard error of the first.

    That by the nearest is trimmed where a share of the points is too near to each other, as rows are that are repeated
    up to a difference beside which the distances between neighbours are not large.
    """
    estimates, errors = maximum_likelihood(logs)
    all_of_them = [*estimates, *trimmed_estimates(logs)]
    found = {shape: calibrated(levels_of(shape, points), all_of_them, features) for shape in SHAPES}
    count = len(NEIGHBOURS)
    rise = sum(math.log(values[count] / values[0]) for values in found.values()) / len(found)
    if rise > _REPEATED:
        return {shape: (*values[count:], *values[2:count]) for shape, values in found.items()}, errors[0] + 0.5 * rise
    return {shape: values[:count] for shape, values in found.items()}, errors[0]


def _profile_of_draws(
    points: Tensor, even: Mapping[str, tuple[float, ...]], generator: torch.Generator | None
) -> tuple[dict[str, tuple[float, ...]], float]:
    """``_profile`` of evenly spaced points after they were moved along the manifold, where that lowers it.

    An even spacing brings the distances to neighbours close to each other, which looks like many dimensions; a
    step that leaves a curved manifold does too, so that the lower of the two is nearer to the truth.
    """
    dimension = round(min(value for values in even.values() for value in values[_FAR]))
    dimension = min(max(1, dimension), (len(points) - 1) // 2)
    logs = torch.cat([log_distances(smeared(points, dimension, generator)) for _ in range(_SMEARED)])
    moved, error = _profile(logs, len(points), points.shape[1])
    return {shape: tuple(map(min, values, even[shape])) for shape, values in moved.items()}, error


def _explaining(profile: Mapping[str, tuple[float, ...]], logs: Tensor, features: int) -> float:
    """The standard deviation t of noise that makes a dimension the same for all numbers of neighbours.

    Noise in the D − K directions across the manifold adds c = 2 (D − K) t² to squared distances r², so that what looks
    like K r²/(r² − c) dimensions at distance r is K.
    """
    squares = torch.stack([(2.0 * logs[:, k - 1]).exp().mean() for k in NEIGHBOURS])
    seen = torch.tensor(list(profile.values()), dtype=torch.float64).log().mean(0)
    shares = torch.linspace(0.0, 1.0, _SHARES + 1, dtype=torch.float64)[:-1, None]  # of c in the smallest r²
    levels = seen + (1.0 - shares * squares[0] / squares).log()
    best = int(levels.std(1).argmin())
    codimension = max(1.0, features - float(levels[best].mean().exp()))
    return math.sqrt(float(shares[best] * squares[0]) / (2.0 * codimension))


def pointwise_dimension(x: Tensor, *, data: Tensor | None = None) -> Tensor:
    """The dimension around each point, for data whose dimension varies from place to place.

    The estimate for 20 neighbours, averaged over a point and its 20 nearest and calibrated as in
    ``neighbour_dimension``. On unions of curves and surfaces it was right at 99.5 % of the points away
    from the joints, where counting the eigenvalues of a flow's pointwise spectrum was right at 92 to 98 %;
    at dimensions beyond about 5 so few neighbours leave an error of one or more.

    Time grows with n times m, memory with n and m only.

    Args:
        x: points, shape (n, ...).
        data: the set in which neighbours are sought, shape (m, ...), at least 50 of them distinct; by default ``x``
            itself. Repeated points count once, and a point that is in the set is no neighbour of its own, so that
            a part of the data gets the dimensions that it gets together with the rest.

    Returns:
        Shape (n,), int64.

    Raises:
        TypeError: ``x`` or ``data`` is not of a floating dtype.
        ValueError: one is not finite or has other features than the other, or the set has fewer than 50 distinct
            points.
    """
    if data is None:
        points, which = _told_apart(x, remedy="; give data=, in which neighbours are sought")
        inverse, neighbours = _around(points, points)
        of_neighbours = inverse[neighbours]
    else:
        if validation.points("x", x).shape[1:] != validation.points("data", data).shape[1:]:
            raise ValueError(f"x must have the features of data, {tuple(data.shape[1:])}, got {tuple(x.shape[1:])}")
        points, _ = _told_apart(data, name="data")
        queries, which = x.flatten(1).double().unique(dim=0, return_inverse=True)
        inverse, neighbours = _around(queries, points)
        asked, place_of = neighbours.unique(return_inverse=True)
        of_neighbours = _around(points[asked], points)[0][place_of]
    return whole_dimensions(_averaged(inverse, of_neighbours), points)[which]


def local_estimates(x: Tensor, *, most: int) -> tuple[Tensor, Tensor]:
    """The estimates behind ``pointwise_dimension``, not calibrated, at not more than so many points, and these."""
    points, _ = _told_apart(x)
    points = points[:: math.ceil(len(points) / most)]
    inverse, neighbours = _around(points, points)
    return _averaged(inverse, inverse[neighbours]), points


def _averaged(inverse: Tensor, of_neighbours: Tensor) -> Tensor:
    """The estimates of points, (n,), over those of their neighbours, (n, k) inverse ones, too."""
    return torch.cat([inverse.unsqueeze(1), of_neighbours], dim=1).mean(1).reciprocal()


def whole_dimensions(estimates: Tensor, points: Tensor) -> Tensor:
    """The whole dimensions, (n,) int64, at which sets of as many points have the estimates (n,), at most D."""
    # an answer is at most D, and so is what it takes to find it
    highest = max(1, math.ceil(min(2.0 * float(estimates.max()), points.shape[1])))
    place = NEIGHBOURS.index(_LOCAL)
    levels = [
        sum(levels_of(shape, min(len(points), _POINTS))(dimension)[place] for shape in SHAPES) / len(SHAPES)
        for dimension in range(1, highest + 1)
    ]
    # the dimension whose level is nearest: between two levels the middle decides
    middles = estimates.new_tensor([0.5 * (lower + upper) for lower, upper in pairwise(levels)])
    return torch.bucketize(estimates, middles) + 1


def _around(points: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """One over the estimate at each point, not calibrated, (n,), and the indices of its neighbours in the data."""
    nearest = nearest_neighbours(points, data, _LOCAL, skip_equal=True)
    return inverse_dimensions(nearest.distances.log(), _LOCAL), nearest.indices


def _told_apart(x: Tensor, *, name: str = "x", remedy: str = "") -> tuple[Tensor, Tensor]:
    """``_distinct`` and without those that are repeated up to a small difference."""
    points, which = _distinct(x, name=name, remedy=remedy)
    kept, group = without_near_repeats(points)
    _check_enough(kept, len(x), name=name, remedy=remedy)
    return kept, group[which]


def _distinct(x: Tensor, *, name: str = "x", remedy: str = "") -> tuple[Tensor, Tensor]:
    """The points without repetitions, (m, D) in float64, and which of them each row of x is, (n,)."""
    validation.points(name, x)
    points, which = x.flatten(1).double().unique(dim=0, return_inverse=True)
    _check_enough(points, len(x), name=name, remedy=remedy)
    return points, which


def _check_enough(points: Tensor, rows: int, *, name: str = "x", remedy: str = "") -> None:
    """``ValueError`` if too few of the rows are distinct."""
    if len(points) < _FEWEST:
        raise ValueError(f"{name} must have at least {_FEWEST} distinct points, got {len(points)} among {rows}{remedy}")
