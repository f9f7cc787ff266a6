"""Intrinsic dimension from nearest-neighbour distances, without a flow, calibrated on sets of known dimension.

A flow's spectrum needs a chart, and 2 000 points leave much of a strongly curved manifold unseen. Distances
between neighbours need neither, but finite samples and edges bias them low, the more the higher the dimension.
Here that bias is read off simulated sets of the same size, as DANCo does, of three shapes that differ in
what happens at their edges: what they disagree on, the data must decide otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nflows_spread.argument_types import typed
from nflows_spread.arrays import on_cpu_by_default, points_of
from nflows_spread.deprecation import RenamedAttribute, moved_names, renamed_arguments, renamed_state
from nflows_spread.dimension.calibration_curve import MOST_POINTS, SHAPES, calibrated, calibration_curve
from nflows_spread.dimension.distinct_points import check_enough, distinct_points, near_by_chance, without_near_repeats
from nflows_spread.dimension.even_spacing import evenly_spaced, jittered
from nflows_spread.dimension.maximum_likelihood import (
    TRIMMED,
    log_distances,
    maximum_likelihood,
    neighbour_numbers,
    trimmed_estimates,
)

_NEAR = slice(0, 2)
"""The places in ``NEIGHBOURS`` that decide, the nearest, as farther ones see curvature: a choice; not measured."""

_FAR = slice(3, 5)
"""Those that decide of noisy points, to which noise matters less: a choice; not measured."""

_LEAST_ERROR, _LEAST_ERROR_FAR, _LEAST_ERROR_EVEN = 0.05, 0.08, 0.08
"""The relative standard error, at the least, of the nearest neighbours, the far ones, and evenly spaced points. That of
the nearest by trials on seed 0 of the 24 benchmark manifolds; the others are a choice, as less sure."""

MOST_OF_NEIGHBOURS = 8.0
"""What neighbours hold against a dimension at the most, in nats, beside other estimates. A choice: four standard
errors, beyond which their errors are not normal."""

_REPEATED = 0.13
"""How much, in nats, the trimmed estimate by three neighbours must exceed the other for a share of the points to be too
near to each other: above the largest on 150 random sets of the benchmark, 0.11 of noisy knots of 500 points and 0.03 of
2 000 points."""

_JITTERED_COPIES = 4
"""How often evenly spaced points are moved, to average over the steps: a choice; not measured."""

_SHARES = 100
"""Shares of noise in the smallest squared distance that are tried, a resolution of a hundredth: a choice."""

_TREND = 1.5
"""The error that a trend from the 3rd to the 40th neighbour leaves at the 3rd, over that trend, a ratio: below the 3rd
it goes on. By trials on seed 0 of the 24 benchmark manifolds."""


@renamed_arguments({"thickness": "ambient_noise"})
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
        ambient_noise: standard deviation of isotropic noise that would explain best why ``profile`` falls, in units of
            the data; 0 where it does not fall. A density that varies makes it fall too.
        even: whether the points are spaced more evenly than independent draws, as on a mesh, or rounded. Then
            ``profile`` is that of points moved along the manifold, and ``above`` and ``below`` cover all of it.
    """

    value: float
    below: float
    above: float
    nearest: float
    neighbours: tuple[int, ...]
    profile: Mapping[str, tuple[float, ...]]
    ambient_noise: float = 0.0
    even: bool = False

    thickness = RenamedAttribute("ambient_noise")
    fall = RenamedAttribute("ratio_across_scales")

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(renamed_state(state, {"thickness": "ambient_noise"}))

    def in_units_of(self, scale: float) -> NeighbourDimension:
        """The same for data that is ``scale`` times larger."""
        return replace(self, nearest=self.nearest * scale, ambient_noise=self.ambient_noise * scale)

    @property
    def ratio_across_scales(self) -> float:
        """The dimension by the most neighbours over that by the fewest, the largest over shapes; 1 where one rises."""
        return min(1.0, max(values[-1] / values[0] for values in self.profile.values()))

    @property
    def fall_across_scales(self) -> float:
        """By how much, in nats, the dimension falls from the fewest to the most neighbours on every shape, or 0."""
        return -math.log(self.ratio_across_scales)

    def log_plausibility(self, dimension: int) -> float:
        """How well a dimension fits, in nats: 0 for the best, −½ at one standard error."""
        distance = math.log(dimension / self.value)
        return -0.5 * (distance / (self.above if distance > 0.0 else self.below)) ** 2

    def log_plausibilities(self, features: int) -> list[float]:
        """``log_plausibility`` of K = 1 … D, in nats; distances that look like more than D dimensions are of D."""
        at_most = replace(self, value=min(self.value, float(features)))
        return [at_most.log_plausibility(dimension) for dimension in range(1, features + 1)]


@on_cpu_by_default
@typed
def neighbour_dimension(
    x: Any,
    *,
    noisy: bool = False,
    generator: torch.Generator | None = None,
) -> NeighbourDimension:
    """The dimension of points by the distances to their nearest neighbours.

    The maximum-likelihood estimate for k neighbours, averaged over points as MacKay and Ghahramani do, is
    calibrated: K is the dimension at which as many points, normal, uniform in a cube, or uniform on a
    sphere, give the same estimate. No scale of the data enters, and no model.

    Args:
        x: points, a tensor of shape (n, ...), or a NumPy array or a data frame. Repeated points count once.
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
    points = independent_points(points_of("x", x), most=MOST_POINTS, generator=generator)
    size, features = points.shape
    return of_log_distances(log_distances(points), size, features, points=points, noisy=noisy, generator=generator)


def independent_points(
    x: Tensor,
    *,
    most: int,
    generator: torch.Generator | None = None,
    n_jobs: int | None = None,
    name: str = "x",
) -> Tensor:
    """Up to so many of the points of ``x``, (m, D) in float64, in random order, those that are repeated once.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or has fewer than 50 distinct points.
    """
    points, _ = distinct_points(x, name=name)
    order = torch.randperm(len(points), generator=generator, device="cpu")[:most].to(points.device)
    merged, _ = without_near_repeats(points[order], n_jobs=n_jobs)
    if near_by_chance(merged, points[order]):
        return points[order]
    check_enough(merged, len(x), name=name)
    return merged


def of_log_distances(
    logs: Tensor,
    size: int,
    features: int,
    *,
    points: Tensor | None = None,
    noisy: bool = False,
    generator: torch.Generator | None = None,
) -> NeighbourDimension:
    """``neighbour_dimension`` from logarithms of the distances to the nearest neighbours.

    Args:
        logs: of some points, (m, k), nearest first, k at least 5.
        size: the number of points among which the neighbours were sought.
        features: D.
        points: these points, (size, D), which are moved where they are evenly spaced; without them the estimate is
            that of the points as they are.
        noisy: see ``neighbour_dimension``.
        generator: source of the moves.
    """
    profile, error = _profile(logs, size, features)
    even = evenly_spaced(logs)
    if even and points is not None:
        profile, error = _profile_of_draws(points, profile, generator)
    value, spread = of_profile(profile, _FAR if noisy else _NEAR)
    trends = [0.0] if noisy else [math.log(values[-1] / values[0]) for values in profile.values()]
    least = _LEAST_ERROR_FAR if noisy else _LEAST_ERROR_EVEN if even else _LEAST_ERROR
    error = math.hypot(least, spread, error)
    falling = max(0.0, -max(trends))
    return NeighbourDimension(
        value=value,
        # what is rounded off fills all directions at the scale of its nearest points
        below=error + _TREND * max(0.0, min(trends)) + (falling if even else 0.0),
        # a mesh that is finer along one axis is a bundle of curves at the scale of its nearest points
        above=error + max(_TREND * falling, max(0.0, min(trends)) if even else 0.0),
        nearest=float(logs[:, 0].median().exp()),
        neighbours=neighbour_numbers(logs),
        profile=profile,
        ambient_noise=_explaining(profile, logs, features) if max(trends) < 0.0 and not even else 0.0,
        even=even,
    )


def of_profile(profile: Mapping[str, tuple[float, ...]], numbers: slice) -> tuple[float, float]:
    """The dimension by some of the numbers of neighbours, and half the range, in nats, of what the shapes say."""
    deciding = torch.tensor([values[numbers] for values in profile.values()]).log()
    of_shapes = deciding.mean(1)
    return float(deciding.mean().exp()), 0.5 * float(of_shapes.max() - of_shapes.min())


def _profile(logs: Tensor, points: int, features: int) -> tuple[dict[str, tuple[float, ...]], float]:
    """The dimension by each number of neighbours for each shape, and the relative standard error of the first.

    That by the nearest is trimmed where a share of the points is too near to each other, as rows are that are repeated
    up to a difference beside which the distances between neighbours are not large.
    """
    estimates, errors = maximum_likelihood(logs)
    all_of_them = [*estimates, *trimmed_estimates(logs)]
    count = len(estimates)
    places = [*range(count), *TRIMMED]
    found = {shape: calibrated(calibration_curve(shape, points), all_of_them, features, places) for shape in SHAPES}
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
    logs = torch.cat([log_distances(jittered(points, dimension, generator)) for _ in range(_JITTERED_COPIES)])
    moved, error = _profile(logs, len(points), points.shape[1])
    return {shape: tuple(map(min, values, even[shape])) for shape, values in moved.items()}, error


def _explaining(profile: Mapping[str, tuple[float, ...]], logs: Tensor, features: int) -> float:
    """The standard deviation t of noise that makes a dimension the same for all numbers of neighbours.

    Noise in the D − K directions across the manifold adds c = 2 (D − K) t² to squared distances r², so that what looks
    like K r²/(r² − c) dimensions at distance r is K.
    """
    squares = torch.stack([(2.0 * logs[:, k - 1]).exp().mean() for k in neighbour_numbers(logs)])
    seen = torch.tensor(list(profile.values()), dtype=torch.float64).log().mean(0)
    shares = torch.linspace(0.0, 1.0, _SHARES + 1, dtype=torch.float64)[:-1, None]  # of c in the smallest r²
    without = seen + (1.0 - shares * squares[0] / squares).log()
    best = int(without.std(1).argmin())
    codimension = max(1.0, features - float(without[best].mean().exp()))
    return math.sqrt(float(shares[best] * squares[0]) / (2.0 * codimension))


__getattr__ = moved_names(__name__, {"pointwise_dimension": "nflows_spread.dimension.pointwise_dimension"})
