"""Expectation maximisation for a Gaussian mixture of full covariances, from k-means++ starts, for few rows too.

The likelihood has no maximum: a piece on one point has covariance 0. Here the covariance of each piece is shrunk
towards one shape that all pieces share at a scale of each, as if ν more rows of it had been seen with that one, and
none of its eigenvalues is below a floor. Without the scales a piece of small variance, the sky among patches of a
photograph, would be widened by all others. A piece that is left with less than one row takes half of the largest one.
"""

from __future__ import annotations

import math
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread.linalg.common_shape import common_shape
from nflows_spread.linalg.distances import distances_between
from nflows_spread.linalg.gaussian_mixture import log_joint_of_mixture
from nflows_spread.linalg.quadratic_features import QuadraticFeatures

LEAST_FLOOR = 1e-12
"""The least eigenvalue of a covariance over the mean variance of a feature, at least: a choice; at a ten-thousandth of
it float64 cannot tell a covariance from a singular one."""
_LLOYD_STEPS = 10
"""Steps of k-means after its start: a choice, as they only bring EM near its optimum."""
_FEWEST_ROWS = 1.0
"""The sum of responsibilities below which a piece is dead, in rows: a choice."""
_SCALE_ROWS = 1e-3
"""Rows of scale 1 that the scale of a piece is averaged with, for pieces without rows: a choice; one row is too many
for pieces at a hundredth of the scale of others."""
NEGLIGIBLE = 1e-8
"""The responsibility below which a row is left out of the moments of a piece: a choice, for time, as of many pieces far
apart almost all rows are no piece's but one's; of a million rows it leaves out a hundredth of one."""
_SHAPE_STEPS = 3
"""Steps in which the shared shape and the scales are found, one from the other: a choice, near their fixed point."""


class FittedPieces(NamedTuple):
    """Weights (M,), means (M, K) and covariances (M, K, K) in float64, mean log-likelihood in nats per row, and ν."""

    weights: Tensor
    means: Tensor
    covariances: Tensor
    log_likelihood: float
    pseudo_counts: float


def expectation_maximization(
    z: Tensor,
    pieces: int,
    *,
    pseudo_counts: float | None = None,
    variance_floor: float = 1e-6,
    iterations: int = 200,
    tolerance: float = 1e-4,
    starts: int = 1,
    begun: Tensor | None = None,
    tied: bool = False,
    generator: torch.Generator | None = None,
) -> FittedPieces:
    """A mixture of M Gaussians for the points.

    Args:
        z: points, shape (n, K).
        pieces: M, at most n.
        pseudo_counts: ν, the rows that the shared shape counts for in the covariance of each; 0 for a maximum of the
            likelihood. K by default, which held-out rows of balls, cubes, bent and heavy-tailed sets, mixtures
            too, of 1 to 16 features liked best of K/10 to 4 K between 100 and 5 000 rows.
        variance_floor: the least eigenvalue of a covariance, as a share of the mean variance of a feature.
        iterations: the most that are made.
        tolerance: they end when the mean log-likelihood changes by less, in nats.
        starts: starts, of whose ends the likeliest is taken.
        begun: responsibilities (n, M) to start from, in the place of k-means++.
        tied: all covariances have one shape, at scales of their own.
        generator: source of the starts.

    Raises:
        ValueError: ``z`` is no matrix, there are more pieces than rows, all rows are equal or have no finite variance,
            ``variance_floor`` is below 1e-12, ``pseudo_counts`` is negative, or ``begun`` is not of these rows and
            pieces.
    """
    points = z.double()
    if z.dim() != 2:
        raise ValueError(f"z must be a matrix (n, K), got shape {tuple(z.shape)}")
    if not 1 <= pieces <= len(points):
        raise ValueError(f"pieces must be between 1 and {len(points)}, the number of rows, got {pieces}")
    if not variance_floor >= LEAST_FLOOR:
        raise ValueError(f"variance_floor must be at least {LEAST_FLOOR:g}, got {variance_floor}")
    if begun is not None and (begun.shape != (len(points), pieces) or not bool((begun.sum(0) > 0.0).any())):
        raise ValueError(
            f"begun must be responsibilities of shape ({len(points)}, {pieces}), not all 0, got {tuple(begun.shape)} "
            f"with a sum of {float(begun.sum()):.3g}"
        )
    variance = float(points.var(0, correction=0).mean())
    if not math.isfinite(variance):
        raise ValueError(f"rows must be finite, and their squares too, got a variance of {variance}; rescale them")
    floor = variance_floor * variance
    if floor <= 0.0:
        raise ValueError(f"rows must not all be equal, got {len(points)} of variance 0; pass rows that differ")
    shrinkage = float(points.shape[1]) if pseudo_counts is None else pseudo_counts
    if not 0.0 <= shrinkage < math.inf:
        raise ValueError(f"pseudo_counts must be a finite number of at least 0, got {pseudo_counts}")
    best: FittedPieces | None = None
    for _ in range(starts if begun is None else 1):
        start = _of_k_means(points, pieces, generator) if begun is None else begun.double()
        found = _maximum(points, start, shrinkage, floor, iterations, tolerance, tied=tied)
        if best is None or found.log_likelihood > best.log_likelihood:
            best = found
    if best is None:
        raise ValueError(f"starts must be at least 1, got {starts}")
    return best


def _of_k_means(points: Tensor, pieces: int, generator: torch.Generator | None) -> Tensor:
    """Responsibilities, (n, M), each 0 or 1."""
    return torch.nn.functional.one_hot(k_means(points, pieces, generator=generator), pieces).to(points.dtype)


def _maximum(
    points: Tensor,
    responsibilities: Tensor,
    shrinkage: float,
    floor: float,
    iterations: int,
    tolerance: float,
    *,
    tied: bool,
) -> FittedPieces:
    """The fixed point of EM that responsibilities (n, M) lead to."""
    restarts, last = responsibilities.shape[1], -torch.inf
    features = QuadraticFeatures.where_they_pay(points, floor)
    sums = partial(_sums_of_squares, points) if features is None else features.moments
    log_joint = partial(log_joint_of_mixture, points) if features is None else features.log_joint
    for step in range(iterations + 1):
        weights, means, covariances = _shrunk(*sums(responsibilities), shrinkage, floor)
        if tied:
            shape, squares = common_shape(weights, covariances, floor)
            covariances = _above(squares.view(-1, 1, 1) * shape, floor)
        joint = log_joint(weights, means, covariances)
        log_likelihood = float(joint.logsumexp(1).mean())
        responsibilities = joint.softmax(1)
        dead = (responsibilities.sum(0) < _FEWEST_ROWS).nonzero().flatten().tolist()
        if dead and restarts and step < iterations:
            restarts -= 1
            _split_the_largest(points, responsibilities, means, covariances, dead[0])
            continue
        if abs(log_likelihood - last) < tolerance:
            break
        last = log_likelihood
    return FittedPieces(weights, means, covariances, log_likelihood, shrinkage)


def _split_the_largest(points: Tensor, responsibilities: Tensor, means: Tensor, covariances: Tensor, dead: int) -> None:
    """Gives a dead piece the rows of the largest one that are on one side of its longest axis, in place."""
    largest = int(responsibilities.sum(0).argmax())
    axis = torch.linalg.eigh(covariances[largest]).eigenvectors[:, -1]
    responsibilities[:, dead] = 0.0
    above = (points - means[largest]) @ axis > 0.0
    responsibilities[above, dead] = responsibilities[above, largest]
    responsibilities[above, largest] = 0.0


def weighted_moments(
    points: Tensor, responsibilities: Tensor, shrinkage: float, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (M,), means (M, K) and covariances (M, K, K) of points (n, K) by responsibilities (n, M), in float64.

    S_m = (N_m C_m + ν s_m C̄) / (N_m + ν), of which no eigenvalue is below the floor: C_m is the covariance of the N_m
    rows of a piece, ν the shrinkage, C̄ = Σ_m N_m C_m / (n s_m) the shape that all share, and s_m = tr(C̄⁻¹ C_m) / K
    the scale at which a piece has it, averaged with a thousandth of a row of scale 1. A piece without rows has
    weight 0, the mean of all rows and covariance C̄.
    """
    return _shrunk(*_sums_of_squares(points, responsibilities), shrinkage, floor)


def _sums_of_squares(points: Tensor, responsibilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """N_m (M,), the means (M, K) and N_m C_m (M, K, K); as ``QuadraticFeatures.moments``."""
    counts = responsibilities.sum(0)
    empty = (counts == 0.0).unsqueeze(1)
    means = torch.where(empty, points.mean(0), (responsibilities.mT @ points) / counts.unsqueeze(1))
    scatter = points.new_empty(*means.shape, means.shape[1])
    for piece, mean in enumerate(means):  # one by one, for the memory
        own = responsibilities[:, piece] > NEGLIGIBLE
        centred = points[own] - mean
        torch.mm((centred * responsibilities[own, piece : piece + 1]).mT, centred, out=scatter[piece])
    return counts, means, scatter


def _shrunk(
    counts: Tensor, means: Tensor, scatter: Tensor, shrinkage: float, floor: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and covariances of ``weighted_moments``."""
    total = (counts + shrinkage).view(-1, 1, 1)
    shape, scales = _shape_and_scales(scatter, counts, floor)
    covariances = torch.where(total > 0.0, (scatter + shrinkage * scales.view(-1, 1, 1) * shape) / total, shape)
    return counts / counts.sum(), means, _above(covariances, floor)


def _shape_and_scales(scatter: Tensor, counts: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """C̄, (K, K), and the scales s, (M,), of sums of squares N_m C_m, (M, K, K), and of counts N, (M,)."""
    features, scales = scatter.shape[-1], torch.ones_like(counts)
    for _ in range(_SHAPE_STEPS):
        shape = _above((scatter / scales.view(-1, 1, 1)).sum(0) / counts.sum(), floor)
        precision = torch.cholesky_inverse(torch.linalg.cholesky(shape))
        squares = (scatter * precision).sum((1, 2)) / features
        scales = (squares + _SCALE_ROWS) / (counts + _SCALE_ROWS)
    return shape, scales


def _above(covariances: Tensor, floor: float) -> Tensor:
    """The covariances with their eigenvalues clamped to the floor, where one is below it."""
    symmetric = (covariances + covariances.mT) / 2.0
    less = symmetric - floor * torch.eye(symmetric.shape[-1], dtype=symmetric.dtype, device=symmetric.device)
    if not torch.linalg.cholesky_ex(less).info.any():
        return symmetric
    values, vectors = torch.linalg.eigh(symmetric)
    return (vectors * values.clamp_min(floor).unsqueeze(-2)) @ vectors.mT


def k_means(points: Tensor, pieces: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Labels (n,) of points (n, K), by a few steps of k-means from k-means++ centres; a label may have no row."""
    centres = _k_means_plus_plus(points, pieces, generator)
    for _ in range(_LLOYD_STEPS):
        labels = distances_between(points, centres).argmin(1)
        counts = torch.bincount(labels, minlength=pieces).unsqueeze(1)
        sums = torch.zeros_like(centres).index_add_(0, labels, points)
        moved = torch.where(counts > 0, sums / counts, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return labels


def _k_means_plus_plus(points: Tensor, pieces: int, generator: torch.Generator | None) -> Tensor:
    """Centres (M, K) among the points: each, of a few drawn by squared distance, leaves the least sum of them."""
    trials = 2 + int(math.log(pieces))
    centres = points[_drawn(torch.ones_like(points[:, 0]), 1, generator)]
    squares = (points - centres).square().sum(1)
    while len(centres) < pieces:
        candidates = _drawn(squares, trials, generator)
        left = torch.minimum(squares, distances_between(points[candidates], points).square())
        best = int(left.sum(1).argmin())
        centres = torch.cat([centres, points[candidates[best]].unsqueeze(0)])
        squares = left[best]
    return centres


def _drawn(weights: Tensor, number: int, generator: torch.Generator | None) -> Tensor:
    """Indices, (number,), with probabilities in proportion to the weights; any where all are 0."""
    sums = weights.cumsum(0)
    uniform = torch.empty(number, dtype=weights.dtype, device=weights.device).uniform_(generator=generator)
    return torch.searchsorted(sums, uniform * sums[-1], right=True).clamp_max(len(weights) - 1)
