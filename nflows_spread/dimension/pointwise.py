"""Local intrinsic dimension: that around each point, from nearest-neighbour distances, where it varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Generic, cast

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.arrays import Array, on_cpu_by_default, points_of
from nflows_spread.dimension.calibration_curve import SHAPES, calibration_curve
from nflows_spread.dimension.dependent_rows import DependentRows, dependent_rows, neighbours_apart, standing_for_all
from nflows_spread.dimension.distinct_points import check_range, without_repeats
from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS, NEIGHBOURS, inverse_dimensions
from nflows_spread.dimension.neighbour_search import neighbours_among
from nflows_spread.dimension.precomputed import neighbours_given
from nflows_spread.linalg.distances import Neighbours

_OVERLAP = 1.4
"""The standard error at a point over that of independent estimates at its neighbours, a ratio, as these share their
neighbours: between the 1.2 and 1.6 that 250 samples of normal points in 1 to 12 dimensions vary by, measured for 10, 20
and 40 neighbours."""


@dataclass(frozen=True, eq=False, repr=False)
class LocalDimensions(Generic[Array]):
    """The dimension around each of n points, as tensors or, of what is no tensor, NumPy arrays.

    Attributes:
        dimensions: whole, from 1 to D, (n,), int64.
        estimates: calibrated and not rounded, (n,), float64.
        standard_errors: of the estimates, (n,), float64: what they vary by from one sample of the data to another.
        neighbours: k, behind each.
    """

    dimensions: Array
    estimates: Array
    standard_errors: Array
    neighbours: int

    def __eq__(self, other: object) -> bool:
        """Whether all of their entries are equal."""
        if not isinstance(other, LocalDimensions):
            return NotImplemented
        names = ("dimensions", "estimates", "standard_errors")
        pairs = ((_tensor_of(getattr(self, name)), _tensor_of(getattr(other, name))) for name in names)
        return self.neighbours == other.neighbours and all(torch.equal(one, two) for one, two in pairs)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        dimensions, counts = _tensor_of(self.dimensions).unique(return_counts=True)
        found = validation.listed(
            [f"{dimension} at {count}" for dimension, count in zip(dimensions.tolist(), counts.tolist(), strict=True)]
        )
        return f"LocalDimensions({found} of {len(self.dimensions)} points, by {self.neighbours} neighbours)"


@on_cpu_by_default
@typed
def pointwise_dimension(
    x: Array,
    *,
    data: Any = None,
    groups: Any = None,
    window: int | None = None,
    n_jobs: int | None = None,
) -> Array:
    """The dimension around each point, for data whose dimension varies from place to place.

    The estimate for 20 neighbours, averaged over a point and its 20 nearest and calibrated as in
    ``neighbour_dimension``. On unions of curves and surfaces it was right at 99.5 % of the points away
    from the joints, where counting the eigenvalues of a flow's pointwise spectrum was right at 92 to 98 %;
    at dimensions beyond about 5 so few neighbours leave an error of one or more. ``local_dimensions`` has the standard
    errors.

    Args:
        x: points, a tensor of shape (n, ...), or a NumPy array or a data frame.
        data: the set in which neighbours are sought, shape (m, ...), at least 50 of them distinct; by default ``x``
            itself. Repeated points count once, and a point that is in the set is no neighbour of its own, so that
            a part of the data gets the dimensions that it gets together with the rest.
        groups: a label for each row of ``x``. Rows of one group, such as a subject or a video, are not each other's
            neighbours, and where several are nearer to each other than to any other one stands for them as a neighbour.
        window: Theiler window of a series, in the place of ``groups``: the same for rows whose places in the order
            differ by less.
        n_jobs: threads of the search for neighbours, −1 for all cores; by default one. It changes no digit.

    Returns:
        Shape (n,), int64, a tensor if ``x`` is one, else a NumPy array.

    Raises:
        TypeError: ``x`` or ``data`` is not of a floating dtype, or holds no real numbers.
        ValueError: one is not finite or has other features than the other, or the set has fewer than 50 distinct
            points.
    """
    return local_dimensions(x, data, groups=groups, window=window, n_jobs=n_jobs).dimensions


@on_cpu_by_default
@typed
def local_dimensions(
    x: Array,
    data: Any = None,
    *,
    neighbours: int = LOCAL_NEIGHBOURS,
    distances: Any = None,
    indices: Any = None,
    groups: Any = None,
    window: int | None = None,
    n_jobs: int | None = None,
) -> LocalDimensions[Array]:
    """The dimension around each point as in ``pointwise_dimension``, with what it was rounded from and its error.

    Time grows with n times m where points have many dimensions of their own, with n log m where they have few
    and SciPy is there; memory with n and m only.

    Args:
        x: points, shape (n, ...).
        data: the set in which neighbours are sought, shape (m, ...); by default ``x`` itself.
        neighbours: k, one of 5, 10, 20 and 40. More of them vary less and see less of what varies.
        distances: of each row of ``x`` to its nearest rows of ``x``, (n, k) and nearest first, as a library
            of neighbours finds them; a column of zeros, each row's own, is left out. Then none are sought, and repeated
            rows are not merged. Or a sparse graph of these, as ``sklearn.neighbors.kneighbors_graph`` makes it.
        indices: which rows these are, (n, k); a graph has them.
        groups: as in ``pointwise_dimension``.
        window: as in ``pointwise_dimension``.
        n_jobs: threads of the search for neighbours, −1 for all cores; by default one. It changes no digit.

    Raises:
        TypeError, ValueError: as in ``pointwise_dimension``; there is no estimate by so many neighbours, or
            ``distances`` and ``indices`` are no neighbours of ``x``.
    """
    if neighbours not in NEIGHBOURS[1:]:
        raise ValueError(f"neighbours must be one of {validation.listed(NEIGHBOURS[1:])}, got {neighbours!r}")
    points = points_of("x", x)
    if (groups is not None or window is not None) and not (data is None and distances is None and indices is None):
        raise TypeError(
            "groups and window are of rows among themselves, got them with data or distances; leave these out"
        )
    together = dependent_rows(len(points), groups, window)
    if together is not None:
        found = _of_dependent(points, together, neighbours)
    elif distances is not None or indices is not None:
        found = _of_given(points, data, distances, indices, neighbours)
    else:
        found = _among(points, None if data is None else points_of("data", data), neighbours, n_jobs)
    if isinstance(x, Tensor):
        return cast(LocalDimensions[Array], found)
    dimensions, estimates, errors = (
        each.numpy() for each in (found.dimensions, found.estimates, found.standard_errors)
    )
    return cast(LocalDimensions[Array], LocalDimensions(dimensions, estimates, errors, neighbours))


def _of_given(x: Tensor, data: Any, distances: Any, indices: Any, neighbours: int) -> LocalDimensions[Tensor]:
    """By neighbours that were found elsewhere."""
    graph = hasattr(distances, "tocsr")  # which has the indices, too
    if data is not None or distances is None or (indices is None and not graph):
        raise ValueError("distances and indices must be given together and without data, got one of them or data")
    features = validation.points("x", x).flatten(1).shape[1]
    logs, places = neighbours_given(distances, indices, least=neighbours, rows=len(x))
    if not bool(logs[:, neighbours - 1].isfinite().all()):
        row = int((~logs[:, neighbours - 1].isfinite()).nonzero()[0])
        raise ValueError(f"distances must have {neighbours} above 0 in each row, got fewer in row {row}; drop repeats")
    inverse = inverse_dimensions(logs, neighbours)
    return _local(inverse, inverse[places[:, :neighbours]], len(x), features, neighbours)


def _among(x: Tensor, data: Tensor | None, neighbours: int, n_jobs: int | None) -> LocalDimensions[Tensor]:
    """By neighbours among ``data``, or among the points themselves."""
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


def _of_dependent(x: Tensor, together: DependentRows, neighbours: int) -> LocalDimensions[Tensor]:
    """By neighbours among those that stand for others and do not belong together with a point."""
    rows = validation.points("x", x).flatten(1).double()
    check_range(rows)
    kept = standing_for_all(rows, together, name="x")
    points, which = rows[kept], together.at(kept)
    near = neighbours_apart(rows, together, points, which, neighbours)
    if not bool(near.distances.isfinite().all()):
        row = int((~near.distances[:, -1].isfinite()).nonzero()[0])
        raise ValueError(
            f"each row must have {neighbours} neighbours beyond its group or window, got fewer at row {row} of "
            f"{len(x)}; give smaller groups, a shorter window or fewer neighbours"
        )
    inverse = inverse_dimensions(near.distances.log(), neighbours)
    return _local(inverse, inverse[kept][near.indices], len(points), points.shape[1], neighbours)


def local_estimates(nearest: Neighbours) -> Tensor:
    """The estimates behind ``pointwise_dimension``, not calibrated, (n,), from all points' nearest among themselves."""
    inverse = inverse_dimensions(nearest.distances.log(), LOCAL_NEIGHBOURS)
    together = torch.cat([inverse.unsqueeze(1), inverse[nearest.indices[:, :LOCAL_NEIGHBOURS]]], dim=1)
    return together.mean(1).reciprocal()


def whole_dimensions(estimates: Tensor, size: int, features: int, neighbours: int = LOCAL_NEIGHBOURS) -> Tensor:
    """The whole dimensions, (n,) int64, at which sets of as many points have the estimates (n,), at most D."""
    curve = _curve(estimates, size, features, neighbours)
    # the dimension whose estimate is nearest: between two the middle decides
    middles = estimates.new_tensor([0.5 * (lower + upper) for lower, upper in pairwise(curve[:features])])
    return torch.bucketize(estimates, middles) + 1


def _local(
    inverse: Tensor, of_neighbours: Tensor, size: int, features: int, neighbours: int
) -> LocalDimensions[Tensor]:
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


def _tensor_of(values: Any) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(values)
