"""Log-density of the spread prior of a dense lower-triangular A, and of a covariance that is given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.eigen import positive_root
from nflows_spread.linalg.few_features import SMALL, small_log_prob
from nflows_spread.linalg.spread_covariance import (
    LOG_2PI,
    cholesky_by_qr,
    cholesky_of,
    cholesky_or_qr,
    log_prob_of_whitened,
    plus_noise,
    spread_cholesky,
    spread_gradients,
)
from nflows_spread.linalg.torch_func import plain_log_prob, plain_log_prob_from_cholesky, under_transforms
from nflows_spread.linalg.triangular import lower_cholesky_solve, lower_double, lower_gram, lower_product


def spread_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I) (equation 12) for a lower-triangular A.

    Args:
        z: points, shape (n, D).
        factor: A, shape (D, D). What it has above the diagonal is not read and gets gradient 0.
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and ``factor`` have a
        closed form (see ``_SpreadLogProb``, or ``few_features`` for few features) and can be differentiated again.
    """
    if under_transforms(z, factor, spread_variance):
        return plain_log_prob(z, factor.tril(), spread_variance)
    if len(factor) <= SMALL:
        return small_log_prob(z, factor, spread_variance, lower=True)
    log_prob: Tensor = _SpreadLogProb.apply(z, factor, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _SpreadLogProb(torch.autograd.Function):
    """Log-density with the closed-form gradient.

    With Σ = AAᵀ + σ_Z² I, y_n = Σ⁻¹ z_n and weights w_n from above:

        ∂/∂z_n = −w_n y_n,        ∂/∂A = tril((Σ_n w_n y_n y_nᵀ) A − (Σ_n w_n) Σ⁻¹A).

    Keeping the one Cholesky factor of the forward pass spares autograd the backward pass through
    the factorisation, which costs more than everything else together.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
        a = lower_double(factor)
        spread = plus_noise(lower_gram(a), spread_variance)
        cholesky = cholesky_or_qr(a, spread, float(spread_variance), exact=factor.dtype == torch.float64)
        whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        ctx.save_for_backward(z, factor, a, cholesky, whitened)
        return log_prob_of_whitened(whitened, cholesky.diagonal()).type_as(z)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, factor, a, cholesky, whitened = ctx.saved_tensors
        weights = grad_outputs[0].double()
        if torch.is_grad_enabled() or under_transforms(weights):  # differentiated again or mapped: plain operations
            by_z, by_factor = spread_gradients(weights, z, factor.tril(), cholesky)
            return by_z, by_factor.tril(), None
        y = torch.linalg.solve_triangular(cholesky.mT, whitened, upper=True)
        weighted = y * weights
        grad_z = -weighted.mT.type_as(z) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_z, None, None
        solved = lower_cholesky_solve(cholesky, a).mul_(weights.sum())
        return grad_z, lower_product(weighted, a.mT @ y, factor.dtype, less=solved), None


@torch.no_grad()
def covariance_cholesky(covariance: Tensor, spread_variance: Tensor) -> Tensor:
    """Lower Cholesky factor of S + σ_Z² I in float64, (D, D), for a positive semi-definite S."""
    if under_transforms(covariance, spread_variance):  # whose numbers nobody may look at
        return cholesky_by_qr(positive_root(covariance), spread_variance.double().sqrt())
    spread = plus_noise(covariance.to(torch.float64, copy=True), spread_variance)
    cholesky, info = cholesky_of(spread.mT)  # symmetric, and by columns
    if int(info) != 0:  # rounding in S has outgrown σ_Z²
        cholesky = spread_cholesky(positive_root(covariance), spread_variance)
    return cholesky


def log_prob_from_cholesky(z: Tensor, cholesky: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ), (n,), for a constant lower-triangular L in float64, (D, D), and points z, (n, D)."""
    if under_transforms(z, cholesky):
        return plain_log_prob_from_cholesky(z, cholesky)
    log_prob: Tensor = _LogProbFromCholesky.apply(z, cholesky)  # type: ignore[no-untyped-call]
    return log_prob


class _LogProbFromCholesky(torch.autograd.Function):
    """Log-density of a constant covariance Σ = LLᵀ; ∂/∂z_n = −w_n L⁻ᵀ(L⁻¹z_n), of which the forward pass has half."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, cholesky: Tensor) -> Tensor:
        whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        ctx.save_for_backward(z, cholesky, whitened)
        return log_prob_of_whitened(whitened, cholesky.diagonal()).type_as(z)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        z, cholesky, whitened = ctx.saved_tensors
        if torch.is_grad_enabled() or under_transforms(*grad_outputs):  # differentiated again or mapped
            whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        y = torch.linalg.solve_triangular(cholesky.mT, whitened * -grad_outputs[0], upper=True)
        return y.mT.type_as(z), None


def diagonal_log_prob(z: Tensor, variances: Tensor) -> Tensor:
    """log N(z; 0, diag(variances)) for points of shape (n, K) and variances of shape (K,)."""
    z64, v64 = z.double(), variances.double()
    return (-0.5 * (z64.square() / v64 + v64.log() + LOG_2PI).sum(1)).to(z.dtype)
