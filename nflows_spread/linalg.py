"""Gaussian algebra as pure tensor functions.

Everything here works on a factor ``A`` of shape (D, D) and a spread variance σ_Z², for the spread
prior N(0, AAᵀ + σ_Z² I) of equation 12 and the degenerate prior N(0, AAᵀ). Inputs may be of any
floating dtype; the arithmetic is done in float64, because forming AAᵀ + σ_Z² I in float32 loses
exactly the flat directions that the method is about, and the result is returned in the dtype of
the points.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

_LOG_2PI = math.log(2.0 * math.pi)


def spread_covariance(factor: Tensor, spread_variance: Tensor) -> Tensor:
    """AAᵀ + σ_Z² I in float64, shape (D, D)."""
    a = factor.double()
    return torch.addcmul(a @ a.mT, torch.eye(len(a), dtype=a.dtype, device=a.device), spread_variance.double())


def spread_cholesky(factor: Tensor, spread_variance: Tensor) -> Tensor:
    """Lower Cholesky factor of AAᵀ + σ_Z² I in float64, shape (D, D).

    Two cases take the factor from the QR decomposition of [A, σ_Z I]ᵀ, which never forms AAᵀ, keeps
    all digits of the flat directions, and costs several times as much: where rounding has made the
    sum indefinite, and where a float64 factor, whose owner asks for that precision, is so large
    against σ_Z that the sum would lose more than six digits of them.
    """
    cholesky, info = torch.linalg.cholesky_ex(spread_covariance(factor, spread_variance))
    if int(info) == 0 and (factor.dtype != torch.float64 or _keeps_flat_directions(cholesky)):
        return cholesky
    a = factor.double()
    noise = spread_variance.double().sqrt() * torch.eye(len(a), dtype=a.dtype, device=a.device)
    upper = torch.linalg.qr(torch.cat([a, noise], dim=1).mT, mode="r").R
    return (upper * upper.diagonal().sign().unsqueeze(1)).mT


def _keeps_flat_directions(cholesky: Tensor) -> bool:
    """Whether ‖L‖² times the float64 resolution, the error of the sum, is small against its flattest direction."""
    return bool(cholesky.norm() <= 1e3 * cholesky.diagonal().min())


def spread_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I) (equation 12).

    Args:
        z: points, shape (n, D).
        factor: A, shape (D, D).
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and
        ``factor`` have a closed form (see ``_SpreadLogProb``) and can be differentiated again.
    """
    log_prob: Tensor = _SpreadLogProb.apply(z, factor, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _SpreadLogProb(torch.autograd.Function):
    """Log-density with the closed-form gradient.

    With Σ = AAᵀ + σ_Z² I, y_n = Σ⁻¹ z_n and weights w_n from above:

        ∂/∂z_n = −w_n y_n,        ∂/∂A = −(Σ_n w_n) Σ⁻¹A + (Σ_n w_n y_n y_nᵀ) A.

    Keeping the one Cholesky factor of the forward pass spares autograd the backward pass through
    the factorisation, which costs more than everything else together. A triangular A is masked by
    its owner, so the gradient here is that of an unconstrained A.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
        cholesky = spread_cholesky(factor, spread_variance)
        ctx.save_for_backward(z, factor, spread_variance, cholesky)
        return _log_prob_from_cholesky(z, cholesky)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, factor, spread_variance, cholesky = ctx.saved_tensors
        if torch.is_grad_enabled():  # double backward: the same formulas, through autograd
            cholesky = torch.linalg.cholesky(spread_covariance(factor, spread_variance))
        weights, a = grad_outputs[0].double().unsqueeze(1), factor.double()
        y = torch.cholesky_solve(z.double().mT, cholesky).mT
        grad_z = (-weights * y).to(z.dtype) if ctx.needs_input_grad[0] else None
        grad_factor = None
        if ctx.needs_input_grad[1]:
            grad_factor = (y.mT @ (weights * (y @ a)) - weights.sum() * torch.cholesky_solve(a, cholesky)).to(
                factor.dtype
            )
        return grad_z, grad_factor, None


def _log_prob_from_cholesky(z: Tensor, cholesky: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ) for a lower-triangular L, shape (n,), in the dtype of ``z``."""
    whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
    half_log_det = cholesky.diagonal().log().sum()
    log_prob = -0.5 * whitened.square().sum(0) - half_log_det - 0.5 * len(cholesky) * _LOG_2PI
    return log_prob.to(z.dtype)


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
    values, vectors = values.flip(0).clamp_min(0.0), vectors.flip(1)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return values, vectors * torch.where(largest < 0, -1.0, 1.0).to(vectors.dtype)


def covariance_of(points: Tensor) -> Tensor:
    """Sample covariance (D, D) of points (n, D) about their mean, in float64, divided by n."""
    centred = points.double() - points.double().mean(0)
    return centred.mT @ centred / len(points)


def second_moment_of(points: Tensor) -> Tensor:
    """Second moment (D, D) of points (n, D) about 0, in float64."""
    points = points.double()
    return points.mT @ points / len(points)


def add_to_diagonal(matrix: Tensor, value: float) -> Tensor:
    """matrix + value · I."""
    return matrix + value * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)


def generalised_eigenvalues(signal: Tensor, noise: Tensor) -> Tensor:
    """Solutions μ of S v = μ N v, in descending order, shape (D,), float64.

    Under any invertible linear map M of the space both matrices become M S Mᵀ and M N Mᵀ, and μ
    stays what it is.

    Args:
        signal: S, symmetric positive semi-definite, shape (D, D).
        noise: N, symmetric positive definite, shape (D, D).

    Raises:
        ValueError: N is not positive definite.
    """
    whitened = _whiten(noise, _whiten(noise, signal.double()).mT)
    return torch.linalg.eigvalsh(0.5 * (whitened + whitened.mT)).flip(0).clamp_min(0.0)


def pointwise_signal_to_noise(signal: Tensor, jacobians: Tensor) -> Tensor:
    """Geometric mean over points of the solutions μ of S v = μ J Jᵀ v, descending at each point, shape (D,), float64.

    With S = LLᵀ they are 1 / s² for the singular values s of L⁻¹J.

    Args:
        signal: S, symmetric positive definite, shape (D, D).
        jacobians: J at each point, invertible, shape (n, D, D).

    Raises:
        ValueError: S is not positive definite.
    """
    singular = torch.linalg.svdvals(_whiten(signal, jacobians.double()))
    return (-2.0 * singular.flip(1).log()).mean(0).exp()


def _whiten(covariance: Tensor, columns: Tensor) -> Tensor:
    """L⁻¹ columns with LLᵀ the covariance, which is brought to unit diagonal first.

    So latents of very different scale do not cost precision.
    """
    scale = covariance.double().diagonal().clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
    cholesky, info = torch.linalg.cholesky_ex(scale.unsqueeze(1) * covariance.double() * scale)
    if int(info) != 0:
        raise ValueError(
            f"the latents' covariance and response must be positive definite, got a singular matrix of size "
            f"{tuple(covariance.shape)}; use more points, set data_noise, or check that the flow is invertible on them"
        )
    return torch.linalg.solve_triangular(cholesky, scale.unsqueeze(1) * columns, upper=False)


def kernel_negative_entropy(z: Tensor, spread_variance: Tensor) -> Tensor:
    """The paper's estimate of −H(Z_Q̃): mean_n log (1/N Σ_m N(z_n; z_m, σ_Z² I)) (equation 39).

    A scalar. It saturates as soon as σ_Z is small against the distance between neighbours; offered
    as the ablation of the paper's appendix B.4.
    """
    variance = spread_variance.double()
    points = z.double()
    squared_norms = points.square().sum(1)
    squared_distances = (squared_norms.unsqueeze(1) + squared_norms - 2.0 * points @ points.mT).clamp_min(0.0)
    log_kernels = -0.5 * (squared_distances / variance + z.shape[1] * (variance.log() + _LOG_2PI))
    return (torch.logsumexp(log_kernels, dim=1) - math.log(len(z))).mean().to(z.dtype)
