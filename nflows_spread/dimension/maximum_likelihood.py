"""Levina and Bickel's maximum-likelihood estimate of the dimension, from distances to nearest neighbours."""

from __future__ import annotations

import math

from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

NEIGHBOURS = (3, 5, 10, 20, 40)
"""The numbers of neighbours k for which there is an estimate each: about doubling, a choice; not measured."""

TRIMMED = (len(NEIGHBOURS), len(NEIGHBOURS) + 1)
"""The places of ``trimmed_estimates`` after those by ``NEIGHBOURS``, where both are in one list: by convention."""

LOCAL_NEIGHBOURS = 20
"""The neighbours of the estimate at a point, one of ``NEIGHBOURS``. A choice, with which two unions of pieces came out
right at 99.7 and 99.9 % of their points (docs/intrinsic_dimension.md)."""

QUERIES = 2_000
"""Points whose neighbours are sought, at most: a choice, for time; the size of the sets of the benchmark."""

_OVERLAP = 1.3
"""The standard error over that of independent points, a ratio: points share their neighbours and count for less. A
choice, which tests hold to within 30 % of what draws of cubes in two and four dimensions vary by."""

_LEAST_INVERSE = 1e-9
"""One over the largest estimate that there is, where all neighbours are equally far: a bound; not measured."""

_KEPT = 0.75
"""The share of the points that trimmed estimates keep: a choice, with which up to two fifths of the rows may be too
near to each other in the tests."""


def log_distances(points: Tensor) -> Tensor:
    """Logarithms of the distances of up to 2 000 points to their nearest neighbours among all, (m, 40), from (n, D)."""
    return nearest_neighbours(points[:QUERIES], points, max(NEIGHBOURS), skip_equal=True).distances.log()


def neighbour_numbers(logs: Tensor) -> tuple[int, ...]:
    """Those of ``NEIGHBOURS`` whose distances are known, from logarithms of the distances to the nearest, (m, k)."""
    return tuple(k for k in NEIGHBOURS if k <= logs.shape[1])


def inverse_dimensions(logs: Tensor, k: int) -> Tensor:
    """One over the maximum-likelihood estimate by k neighbours at each point, (m,), from ``log_distances``.

    Never 0, which it would be where all neighbours are equally far.

    References:
        E. Levina, P. Bickel, Maximum likelihood estimation of intrinsic dimension, NeurIPS 2004.
    """
    return ((logs[:, k - 1 : k] - logs[:, : k - 1]).sum(1) / (k - 2)).clamp_min(_LEAST_INVERSE)


def maximum_likelihood(logs: Tensor) -> tuple[list[float], list[float]]:
    """The estimate and its relative standard error for each of ``neighbour_numbers``, from ``log_distances``.

    One over the mean inverse estimate, as MacKay and Ghahramani average them.
    """
    estimates, errors = [], []
    for k in neighbour_numbers(logs):
        inverse = inverse_dimensions(logs, k)
        estimates.append(float(1.0 / inverse.mean()))
        errors.append(_OVERLAP * float(inverse.std() / inverse.mean()) / math.sqrt(len(inverse)))
    return estimates, errors


def trimmed_estimates(logs: Tensor) -> list[float]:
    """The estimates by the two smallest numbers of neighbours without the quarter of the points where they are lowest.

    A share of points that are too near to each other lowers the others little, where calibrated in the same way.
    """
    found = [inverse_dimensions(logs, k).sort().values for k in NEIGHBOURS[:2]]
    return [float(1.0 / inverse[: max(1, int(_KEPT * len(inverse)))].mean()) for inverse in found]
