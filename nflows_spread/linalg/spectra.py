"""Spectra, moments and the remaining densities, all in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.linalg.spread import cholesky_of

_LOG_2PI = math.log(2.0 * math.pi)


def diagonal_log_prob(z: Tensor, variances: Tensor) -> Tensor:
    """log N(z; 0, diag(variances)) for points of shape (n, K) and variances of shape (K,)."""
    z64, v64 = z.double(), variances.double()
    return (-0.5 * (z64.square() / v64 + v64.log() + _LOG_2PI).sum(1)).to(z.dtype)


def factor_eigh(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues Λ (D,) and eigenvectors E (D, D, in columns) of AAᵀ, in descending order, float64."""
    a = factor.double()
    return eigh_descending(a @ a.mT)


def eigh_descending(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a positive semi-definite matrix, largest first, in float64.

    Negative eigenvalues are rounding errors and become 0. The sign of each eigenvector, which the
    decomposition leaves open, is fixed so that its entry of largest magnitude is positive.
    """
    values, vectors = torch.linalg.eigh(covariance.double())
    return values.flip(0).clamp_min(0.0), with_fixed_signs(vectors.flip(1))


def eigenvalues_descending(covariance: Tensor) -> Tensor:
    """The eigenvalues of ``eigh_descending`` alone, at a fifth of its cost for thousands of features."""
    return torch.linalg.eigvalsh(covariance.double()).flip(0).clamp_min(0.0)


def with_fixed_signs(vectors: Tensor) -> Tensor:
    """The columns, each with the sign that makes its entry of largest magnitude positive."""
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors.dtype)


def positive_root(covariance: Tensor) -> Tensor:
    """E √Λ₊, (D, D) in float64: a root of a symmetric matrix after its negative eigenvalues became 0."""
    values, vectors = eigh_descending(covariance)
    return vectors * values.sqrt()


def covariance_of(points: Tensor) -> Tensor:
    """Sample covariance (D, D) of points (n, D) about their mean, in float64, divided by n."""
    centred = points.double() - points.double().mean(0)
    return centred.mT @ centred / len(points)


def second_moment_of(points: Tensor) -> Tensor:
    """Second moment (D, D) of points (n, D) about 0, in float64."""
    points = points.double()
    return points.mT @ points / len(points)


def root_mean_variance(x: Tensor, *, correction: int = 0) -> Tensor:
    """The scale of data (n, ...) as a whole, a scalar of its dtype: the root of the mean variance of a feature.

    Args:
        x: the data.
        correction: rows to take off n in the variances, 1 for those without bias.
    """
    return x.flatten(1).var(0, correction=correction).mean().sqrt()


def average_in(average: Tensor, points: Tensor, rate: float) -> None:
    """Moves an average of second moments, (D, D) in float64, by ``rate`` towards that of points (n, D), in place."""
    points = points.double()
    average.addmm_(points.mT, points, beta=1.0 - rate, alpha=rate / len(points))


def add_to_diagonal(matrix: Tensor, value: float) -> Tensor:
    """matrix + value · I."""
    return matrix + value * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def generalised_eigh(signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions of S v = μ N v: μ in descending order (D,), and V with VᵀNV = I and VᵀSV = diag(μ), in float64.

    Under any invertible linear map M of the space both matrices become M S Mᵀ and M N Mᵀ, and μ
    stays what it is.

    Args:
        signal: S, symmetric positive semi-definite, shape (D, D).
        noise: N, symmetric positive definite, shape (D, D).

    Raises:
        ValueError: N is not positive definite.
    """
    root, scale = _scaled_root(noise)
    whitened = _whiten(root, scale, _whiten(root, scale, signal.double()).mT)
    values, vectors = torch.linalg.eigh(0.5 * (whitened + whitened.mT))
    back = scale.unsqueeze(1) * torch.linalg.solve_triangular(root.mT, vectors, upper=True)
    return values.flip(0).clamp_min(0.0), with_fixed_signs(back.flip(1))


def low_rank_generalised_eigenvalues(root: Tensor, noise: Tensor) -> Tensor:
    """The μ of ``generalised_eigh`` for S = RRᵀ, (D,), from a root R of shape (D, n), at one Cholesky decomposition.

    Raises:
        ValueError: N is not positive definite.
    """
    values = torch.linalg.svdvals(_whiten(*_scaled_root(noise), root.double())).square()
    return torch.nn.functional.pad(values, (0, len(root) - len(values)))


def log_pointwise_signal_to_noise(signal: Tensor, jacobians: Tensor) -> Tensor:
    """log of the solutions μ of S v = μ J Jᵀ v at each point, in descending order, shape (n, D), float64.

    With S = LLᵀ they are −2 log s for the singular values s of L⁻¹J.

    Args:
        signal: S, symmetric positive definite, shape (D, D).
        jacobians: J at each point, invertible, shape (n, D, D).

    Raises:
        ValueError: S is not positive definite.
    """
    return -2.0 * torch.linalg.svdvals(_whiten(*_scaled_root(signal), jacobians.double())).flip(1).log()


def _whiten(root: Tensor, scale: Tensor, columns: Tensor) -> Tensor:
    """L⁻¹ columns, for the covariance LLᵀ of ``_scaled_root``."""
    return torch.linalg.solve_triangular(root, scale.unsqueeze(1) * columns, upper=False)


def _scaled_root(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The Cholesky factor of a covariance that was brought to unit diagonal, and the scale (D,) that brought it there.

    So latents of very different scale do not cost precision.
    """
    scale = covariance.double().diagonal().clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
    cholesky, info = cholesky_of((scale.unsqueeze(1) * covariance.double() * scale).mT)
    if int(info) != 0:
        raise ValueError(
            f"the latents' covariance and response must be positive definite, got a singular matrix of size "
            f"{tuple(covariance.shape)}; use more points, set data_noise, or check that the flow is invertible on them"
        )
    return cholesky, scale


def kernel_negative_entropy(z: Tensor, spread_variance: Tensor) -> Tensor:
    """The paper's estimate of −H(Z_Q̃): mean_n log (1/N Σ_m N(z_n; z_m, σ_Z² I)) (equation 39).

    A scalar. It saturates as soon as σ_Z is small against the distance between neighbours; offered
    as the ablation of the paper's appendix B.4.
    """
    variance = spread_variance.double()
    points = z.double() - z.double().mean(0)  # about any other centre the products below would cancel
    squared_norms = points.square().sum(1)
    squared_distances = (squared_norms.unsqueeze(1) + squared_norms - 2.0 * points @ points.mT).clamp_min(0.0)
    log_kernels = -0.5 * (squared_distances / variance + z.shape[1] * (variance.log() + _LOG_2PI))
    return (torch.logsumexp(log_kernels, dim=1) - math.log(len(z))).mean().to(z.dtype)
