"""Sample covariances, second moments and the mean variance of points, in float64."""

from __future__ import annotations

import torch
from torch import Tensor


def covariance_of(points: Tensor) -> Tensor:
    """Sample covariance (D, D) of points (n, D) about their mean, in float64, divided by n."""
    centred = points.double() - points.double().mean(0)
    return centred.mT @ centred / len(points)


def second_moment_of(points: Tensor) -> Tensor:
    """Second moment (D, D) of points (n, D) about 0, in float64."""
    points = points.double()
    return points.mT @ points / len(points)


def average_in(average: Tensor, points: Tensor, rate: float) -> None:
    """Moves an average of second moments, (D, D) in float64, by ``rate`` towards that of points (n, D), in place."""
    points = points.double()
    average.addmm_(points.mT, points, beta=1.0 - rate, alpha=rate / len(points))


def add_to_diagonal(matrix: Tensor, value: float) -> Tensor:
    """matrix + value · I."""
    return matrix + value * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def root_mean_variance(x: Tensor, *, correction: int = 0) -> Tensor:
    """The scale of data (n, ...) as a whole, a scalar of its dtype: the root of the mean variance of a feature.

    Args:
        x: the data.
        correction: rows to take off n in the variances, 1 for those without bias.
    """
    return x.flatten(1).var(0, correction=correction).mean().sqrt()
