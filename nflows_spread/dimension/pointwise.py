"""Local intrinsic dimension: that around each point, from nearest-neighbour distances, where it varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.calibration_curve import SHAPES, calibration_curve
from nflows_spread.dimension.distinct_points import without_repeats
from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS, NEIGHBOURS, inverse_dimensions
from nflows_spread.dimension.neighbour_search import neighbours_among
from nflows_spread.dimension.precomputed import neighbours_given

_OVERLAP = 1.4
"""The standard error at a point over that of independent estimates at its neighbours, a ratio, as these share their
neighbours: between the 1.2 and 1.6 that 250 samples of normal points in 1 to 12 dimensions vary by, measured for 10, 20
and 40 neighbours."""


@dataclass(frozen=True)
class LocalDimensions:
    """The dimension around each of n points.

    Attributes:
        dimensions: whole, from 1 to D, (n,), int64.
        estimates: calibrated and not rounded, (n,), float64.
        standard_errors: of the estimates, (n,), float64: what they vary by from one sample of the data to another.
        neighbours: k, behind each.
    """

    dimensions: Tensor
    estimates: Tensor
    standard_errors: Tensor
    neighbours: int


def pointwise_dimension(x: Tensor, *, data: Tensor | None = None, n_jobs: int | None = None) -> Tensor:
    """The dimension around each point, for data whose dimension varies from place to place.

    The estimate for 20 neighbours, averaged over a point and its 20 nearest and calibrated as in
    ``neighbour_dimension``. On unions of curves and surfaces it was right at 99.5 % of the points away
    from the joints, where counting the eigenvalues of a flow's pointwise spectrum was right at 92 to 98 %;
    at dimensions beyond about 5 so few neighbours leave an error of one or more. ``local_dimensions`` has the standard
    errors.

    Args:
        x: points, shape (n, ...).
        data: the set in which neighbours are sought, shape (m, ...), at least 50 of them distinct; by default ``x``
            itself. Repeated points count once, and a point that is in the set is no neighbour of its own, so that
            a part of the data gets the dimensions that it gets together with the rest.
        n_jobs: threads of the search for neighbours, −1 for all cores; by default one. It changes no digit.

    Returns:
        Shape (n,), int64.

    Raises:
        TypeError: ``x`` or ``data`` is not of a floating dtype.
        ValueError: one is not finite or has other features than the other, or the set has fewer than 50 distinct
            points.
    """
    return local_dimensions(x, data, n_jobs=n_jobs).dimensions


def local_dimensions(
    x: Tensor,
    data: Tensor | None = None,
    *,
    neighbours: int = LOCAL_NEIGHBOURS,
    distances: Tensor | None = None,
    indices: Tensor | None = None,
    n_jobs: int | None = None,
) -> LocalDimensions:
    """The dimension around each point as in ``pointwise_dimension``, with what it was rounded from and its error.

    Time grows with n times m where points have many dimensions of their own, with n log m where they have few
    and SciPy is there; memory with n and m only.

    Args:
        x: points, shape (n, ...).
        data: the set in which neighbours are sought, shape (m, ...); by default ``x`` itself.
        neighbours: k, one of 5, 10, 20 and 40. More of them vary less and see less of what varies.
        distances: of each row of ``x`` to its nearest rows of ``x``, (n, k) and nearest first, as a library
            of neighbours finds them; a column of zeros, each row's own, is left out. Then none are sought, and repeated
            rows are not merged.
        indices: which rows these are, (n, k).
        n_jobs: threads of the search for neighbours, −1 for all cores; by default one. It changes no digit.

    Raises:
        TypeError, ValueError: as in ``pointwise_dimension``; there is no estimate by so many neighbours, or
            ``distances`` and ``indices`` are no neighbours of ``x``.
    """
    if neighbours not in NEIGHBOURS[1:]:
        raise ValueError(f"neighbours must be one of {validation.listed(NEIGHBOURS[1:])}, got {neighbours!r}")
    if distances is not None or indices is not None:
        if data is not None or distances is None or indices is None:
            raise ValueError("distances and indices must be given together and without data, got one of them or data")
        features = validation.points("x", x).flatten(1).shape[1]
        logs, places = neighbours_given(distances, indices, least=neighbours, rows=len(x))
        if not bool(logs[:, neighbours - 1].isfinite().all()):
            row = int((~logs[:, neighbours - 1].isfinite()).nonzero()[0])
            raise ValueError(
                f"distances must have {neighbours} above 0 in each row, got fewer in row {row}; drop repeats"
            )
        inverse = inverse_dimensions(logs, neighbours)
        return _local(inverse, inverse[places[:, :neighbours]], len(x), features, neighbours)
    if data is None:
        points, which = without_repeats(x, remedy="; give data=, in which neighbours are sought", n_jobs=n_jobs)
        inverse, nearest = _around(points, points, neighbours, n_jobs)
        of_neighbours = inverse[nearest]
    else:
        if validation.points("x", x).shape[1:] != validation.points("data", data).shape[1:]:
            raise ValueError(f"x must have the features of data, {tuple(data.shape[1:])}, got {tuple(x.shape[1:])}")
        points, _ = without_repeats(data, name="data", n_jobs=n_jobs)
        queries, which = x.flatten(1).double().unique(dim=0, return_inverse=True)
        inverse, nearest = _around(queries, points, neighbours, n_jobs)
        asked, place_of = nearest.unique(return_inverse=True)
        of_neighbours = _around(points[asked], points, neighbours, n_jobs)[0][place_of]
    size, features = points.shape
    found = _local(inverse, of_neighbours, size, features, neighbours)
    return LocalDimensions(found.dimensions[which], found.estimates[which], found.standard_errors[which], neighbours)


def local_estimates(x: Tensor, *, most: int) -> tuple[Tensor, Tensor]:
    """The estimates behind ``pointwise_dimension``, not calibrated, at not more than so many points, and these.

    Args:
        x: points, shape (n, ...).
        most: points, at most; every second or third one is taken where there are more.
    """
    points, _ = without_repeats(x)
    points = points[:: math.ceil(len(points) / most)]
    inverse, nearest = _around(points, points, LOCAL_NEIGHBOURS, None)
    return torch.cat([inverse.unsqueeze(1), inverse[nearest]], dim=1).mean(1).reciprocal(), points


def whole_dimensions(estimates: Tensor, size: int, features: int, neighbours: int = LOCAL_NEIGHBOURS) -> Tensor:
    """The whole dimensions, (n,) int64, at which sets of as many points have the estimates (n,), at most D."""
    curve = _curve(estimates, size, features, neighbours)
    # the dimension whose estimate is nearest: between two the middle decides
    middles = estimates.new_tensor([0.5 * (lower + upper) for lower, upper in pairwise(curve[:features])])
    return torch.bucketize(estimates, middles) + 1


def _local(inverse: Tensor, of_neighbours: Tensor, size: int, features: int, neighbours: int) -> LocalDimensions:
    """What points, (n,) inverse estimates, and their neighbours, (n, k), say together."""
    together = torch.cat([inverse.unsqueeze(1), of_neighbours], dim=1)
    means = together.mean(1)
    estimates = means.reciprocal()
    relative = _OVERLAP * together.std(1) / means / math.sqrt(neighbours + 1)
    curve = estimates.new_tensor([0.0, *_curve(estimates, size, features, neighbours)])
    place = torch.bucketize(estimates, curve).clamp(1, len(curve) - 1)
    slopes = 1.0 / (curve[place] - curve[place - 1])
    calibrated = place - 1 + slopes * (estimates - curve[place - 1])
    return LocalDimensions(
        whole_dimensions(estimates, size, features, neighbours),
        calibrated.clamp_max(2.0 * features),
        relative * estimates * slopes,
        neighbours,
    )


def _curve(estimates: Tensor, size: int, features: int, neighbours: int) -> list[float]:
    """What sets of as many points in 1, 2, … dimensions have, the mean over shapes, as far as it takes."""
    # an answer is at most D, and so is what it takes to find it
    highest = max(2, math.ceil(min(2.0 * float(estimates.max()), features + 1.0)))
    place = NEIGHBOURS.index(neighbours)
    curves = [calibration_curve(shape, size) for shape in SHAPES]
    return [sum(curve(dimension)[place] for curve in curves) / len(curves) for dimension in range(1, highest + 1)]


def _around(points: Tensor, data: Tensor, neighbours: int, n_jobs: int | None) -> tuple[Tensor, Tensor]:
    """One over the estimate at each point, not calibrated, (n,), and the indices of its neighbours in the data."""
    nearest = neighbours_among(points, data, neighbours, n_jobs=n_jobs)
    return inverse_dimensions(nearest.distances.log(), neighbours), nearest.indices
