"""Closed surfaces: whether points may fill only a sphere or an ellipsoid in a linear span, of the same variances."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_POINTS, _FEW_POINTS, _FEW_FEATURES = 2_000, 1_000, 1_000
"""Points that are used, the first ones, at most, and of more features than that: a choice, for time."""

_ROWS_PER_DIMENSION = 10
"""Points for each dimension of a span, at the least: with fewer all are equally far from the centre. A choice."""

_RESOLUTION = 1e-6
"""The standard deviation of a coordinate over the largest, a ratio, below which it is rounding: a choice, above that of
float32."""


class PrincipalCoordinates(NamedTuple):
    """Points about their mean along their principal axes, the widest first.

    Attributes:
        left: the left singular vectors (m, r) of the first m points, r being the smaller of m and D.
        deviations: the singular values (r,), √m times the standard deviations.
    """

    left: Tensor
    deviations: Tensor


def shells_of(principal: PrincipalCoordinates) -> tuple[int, ...]:
    """The numbers k of leading principal coordinates in which points lie about as far from the centre as on a sphere.

    Coordinates are divided by their standard deviations, so that ellipsoids count. The distances r to the centre of a
    ball have the relative standard deviation 1 / √(k (k + 2)), those of a sphere 0 but for the error of the
    variances; a cube's and a Gaussian's have several times as much. A ball in many dimensions is as thin as a sphere.

    Args:
        principal: those of independent points.
    """
    left, deviations = principal
    most = min(len(left) // _ROWS_PER_DIMENSION, int((deviations > _RESOLUTION * deviations[0]).sum()))
    distances = left[:, :most].square().cumsum(1).sqrt()
    k = torch.arange(1, most + 1, dtype=torch.float64, device=left.device)
    of_ball, error = (k * (k + 2.0)).rsqrt(), (2.0 * len(left)) ** -0.5
    thin = distances.std(0) / distances.mean(0) < torch.hypot(of_ball, torch.full_like(of_ball, error))
    return tuple(k[thin & (k > 1)].int().tolist())


def principal_coordinates(x: Tensor) -> PrincipalCoordinates:
    """Those of the first 2 000 points, or 1 000 in very many features.

    By the eigenvalues of the smaller product, in half of the time of a decomposition; those that are small beside the
    largest are less exact, and not used.

    Args:
        x: points, (n, D).
    """
    points = x[: _POINTS if x.shape[1] <= _FEW_FEATURES else _FEW_POINTS].double()
    points = points - points.mean(0)
    wide = points.shape[1] > len(points)
    values, vectors = torch.linalg.eigh(points @ points.mT if wide else points.mT @ points)
    values, vectors = values.flip(0).clamp_min(0.0), vectors.flip(1)
    deviations = values.sqrt()
    if wide:
        return PrincipalCoordinates(vectors, deviations)
    left = points @ vectors / deviations.clamp_min(torch.finfo(values.dtype).tiny)
    return PrincipalCoordinates(left, deviations)
