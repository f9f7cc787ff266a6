"""Log-densities of the pieces of a mixture of dense factors by one batched Cholesky decomposition."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.few_features import SMALL
from nflows_spread.linalg.spread_covariance import LOG_2PI, cholesky_by_qr, keeps_flat_directions
from nflows_spread.linalg.torch_func import gradients_of_plain, plain_log_prob, under_transforms


def log_probs_of_pieces(z: Tensor, means: Tensor, factors: Tensor, spread_variance: Tensor, *, lower: bool) -> Tensor:
    """log N(z; m_m, A_m A_mᵀ + σ_Z² I) for all M pieces.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        factors: A, shape (M, D, r).
        spread_variance: σ_Z², a scalar tensor.
        lower: what each A has above the diagonal is not read and gets gradient 0.

    Returns:
        Shape (n, M), float64. Gradients have the closed form of ``few_features`` for each piece, batched, and can be
        differentiated again.
    """
    if under_transforms(z, means, factors, spread_variance):
        return plain_log_probs(z, means, factors, spread_variance, lower=lower)
    found: Tensor = _PiecesLogProb.apply(z, means, factors, spread_variance, lower)  # type: ignore[no-untyped-call]
    return found


def plain_log_probs(z: Tensor, means: Tensor, factors: Tensor, spread_variance: Tensor, *, lower: bool) -> Tensor:
    """The same, (n, M), of plain operations, one piece after the other."""
    rows, pieces = z.double(), zip(means.double(), factors.tril() if lower else factors, strict=True)
    return torch.stack([plain_log_prob(rows - mean, a, spread_variance) for mean, a in pieces], 1)


def plain_log_probs_of_scales(
    z: Tensor, means: Tensor, factor: Tensor, scales: Tensor, spread_variance: Tensor, *, lower: bool = True
) -> Tensor:
    """log N(z; m_m, s_m² AAᵀ + σ_Z² I), (n, M), of plain operations, for one A (D, r) and scales (M,)."""
    factors = factor.double() * scales.double().view(-1, 1, 1)
    return plain_log_probs(z, means, factors, spread_variance, lower=lower)


class _PiecesLogProb(torch.autograd.Function):
    """With Σ_m = A_m A_mᵀ + σ_Z² I = L_m L_mᵀ, u_nm = L_m⁻¹(z_n − m_m), y_nm = L_m⁻ᵀu_nm and weights w_nm from above:

        ∂/∂z_n = −Σ_m w_nm y_nm,        ∂/∂m_m = Σ_n w_nm y_nm,
        ∂/∂A_m = (Σ_n w_nm y_nm y_nmᵀ − (Σ_n w_nm) Σ_m⁻¹) A_m.

    The weights of a mixture are responsibilities times the weights of its points.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, means: Tensor, factors: Tensor, spread_variance: Tensor, lower: bool) -> Tensor:
        variance, a = float(spread_variance), (factors.tril() if lower else factors).double()
        cholesky = _choleskys(a, variance, exact=factors.dtype == torch.float64)
        centred = (z.double() - means.double().unsqueeze(1)).mT
        few = a.shape[1] <= SMALL
        if few:  # the inverse once, and products
            identity = torch.eye(a.shape[1], dtype=a.dtype, device=a.device)
            cholesky = torch.linalg.solve_triangular(cholesky, identity.expand_as(cholesky), upper=False)
            log_diagonal = -cholesky.diagonal(dim1=1, dim2=2).log().sum(1)
            whitened = cholesky @ centred
        else:
            log_diagonal = cholesky.diagonal(dim1=1, dim2=2).log().sum(1)
            whitened = torch.linalg.solve_triangular(cholesky, centred, upper=False)
        ctx.save_for_backward(z, means, factors, spread_variance, a, cholesky, whitened)
        ctx.lower, ctx.few = lower, few
        squares = torch.linalg.vector_norm(whitened, dim=1).square()
        return (-0.5 * squares - (log_diagonal + 0.5 * a.shape[1] * LOG_2PI).unsqueeze(1)).mT

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        z, means, factors, spread_variance, a, triangle, whitened = ctx.saved_tensors
        if torch.is_grad_enabled() or under_transforms(*grad_outputs):  # differentiated again or mapped
            inputs = (z, means, factors, spread_variance)
            function = partial(plain_log_probs, lower=ctx.lower)
            return *gradients_of_plain(function, inputs, ctx.needs_input_grad, grad_outputs[0]), None
        weights = grad_outputs[0].mT.unsqueeze(1)
        y = triangle.mT @ whitened if ctx.few else torch.linalg.solve_triangular(triangle.mT, whitened, upper=True)
        weighted = y * weights
        by_z = -weighted.sum(0).mT.type_as(z) if ctx.needs_input_grad[0] else None
        by_means = weighted.sum(2).type_as(means) if ctx.needs_input_grad[1] else None
        if not ctx.needs_input_grad[2]:
            return by_z, by_means, None, None, None
        solved = triangle.mT @ (triangle @ a) if ctx.few else torch.cholesky_solve(a, triangle)
        by_factors = weighted @ (y.mT @ a) - solved * weights.sum(2, keepdim=True)
        return by_z, by_means, (by_factors.tril_() if ctx.lower else by_factors).type_as(factors), None, None


def _choleskys(a: Tensor, spread_variance: float, *, exact: bool) -> Tensor:
    """Lower Cholesky factors of A_m A_mᵀ + σ_Z² I, (M, D, D), each by QR where the sum would lose flat directions."""
    spread = a @ a.mT
    spread.diagonal(dim1=1, dim2=2).add_(spread_variance)
    cholesky, info = torch.linalg.cholesky_ex(spread)
    failed = info != 0
    if exact:
        failed = failed | ~keeps_flat_directions(cholesky)
    for piece in failed.nonzero().flatten().tolist():
        cholesky[piece] = cholesky_by_qr(a[piece], math.sqrt(spread_variance))
    return cholesky
