"""Log-density of the spread prior given by the Cholesky factor of its own covariance Σ.

The factor L is written as entries B of which only the lower triangle counts:

    L_ij = B_ij below the diagonal,        L_ii = √(B_ii² + σ_Z²).

The variance of a latent given those before it, L_ii², can so never fall below σ_Z², which is true of
every spread covariance AAᵀ + σ_Z² I, and B = I is the covariance (1 + σ_Z²) I at which A starts too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.spread_covariance import log_prob_of_whitened, spread_cholesky
from nflows_spread.linalg.torch_func import plain_log_prob_from_cholesky, under_transforms
from nflows_spread.linalg.triangular import in_double, lower_product, solve_lower, solve_lower_transposed


def spread_cholesky_of(entries: Tensor, spread_variance: Tensor) -> Tensor:
    """L in float64, (D, D), lower-triangular, from the entries B; differentiable."""
    b = entries.double()
    return b.tril(-1) + (b.diagonal().square() + spread_variance.double()).sqrt().diag_embed()


def cholesky_entries_of(root: Tensor, spread_variance: Tensor) -> Tensor:
    """The entries B, (D, D) in float64, of the Cholesky factor of RRᵀ + σ_Z² I, for R of shape (D, r)."""
    cholesky = spread_cholesky(root.double(), spread_variance)
    diagonal, noise = cholesky.diagonal(), spread_variance.double().sqrt()
    root_of_excess = ((diagonal - noise).clamp_min(0.0) * (diagonal + noise)).sqrt()
    return cholesky.tril(-1) + root_of_excess.diag_embed()


def covariance_from_cholesky(entries: Tensor, spread_variance: Tensor) -> Tensor:
    """LLᵀ − σ_Z² I in float64, (D, D): AAᵀ, but for eigenvalues that may lie below 0."""
    cholesky = spread_cholesky_of(entries, spread_variance)
    covariance = cholesky @ cholesky.mT
    return covariance - spread_variance.double() * torch.eye(len(covariance), dtype=covariance.dtype).to(covariance)


def cholesky_log_prob(z: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ) at a cost of O(D² n).

    Args:
        z: points, shape (n, D).
        entries: B, shape (D, D). What it has above the diagonal is not read and gets gradient 0.
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and
        ``entries`` have a closed form (see ``_CholeskyLogProb``) and can be differentiated again.
    """
    if under_transforms(z, entries, spread_variance):
        return plain_log_prob_from_cholesky(z, spread_cholesky_of(entries, spread_variance))
    log_prob: Tensor = _CholeskyLogProb.apply(z, entries, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _CholeskyLogProb(torch.autograd.Function):
    """Log-density with the closed-form gradient.

    With u = L⁻¹z, y = L⁻ᵀu and weights w_n from above:

        ∂/∂z_n = −w_n y_n,        ∂/∂L = tril(Σ_n w_n y_n u_nᵀ) − (Σ_n w_n) diag(1 / L_ii),

    and ∂/∂B_ii = ∂/∂L_ii · B_ii / L_ii. Of the gradient only the lower triangle is ever formed.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
        diagonal = entries.diagonal().double().square().add_(spread_variance.double()).sqrt_()
        lower = in_double(entries, diagonal)
        whitened = solve_lower(lower, diagonal, z.double().mT)
        ctx.save_for_backward(z, entries, spread_variance, lower, diagonal, whitened)
        return log_prob_of_whitened(whitened, diagonal).type_as(z)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, entries, spread_variance, lower, diagonal, whitened = ctx.saved_tensors
        weights = grad_outputs[0].double()
        twice = torch.is_grad_enabled() or under_transforms(weights)
        if twice:  # differentiated again or mapped: the same numbers by plain operations, with their history
            cholesky = spread_cholesky_of(entries, spread_variance)
            diagonal = cholesky.diagonal()
            whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
            weighted = torch.linalg.solve_triangular(cholesky.mT, whitened * weights, upper=True)
        else:
            weighted = solve_lower_transposed(lower, diagonal, whitened * weights)
        grad_z = -weighted.mT.type_as(z) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_z, None, None
        excess = (weighted * whitened).sum(1) - weights.sum() / diagonal
        on_diagonal = excess * entries.diagonal().double() / diagonal
        if twice:
            grad = (weighted @ whitened.mT).tril(-1) + on_diagonal.diag_embed()
            return grad_z, grad.to(entries.dtype), None
        # a sum of products with nothing to cancel: float32 keeps all the digits that a gradient in float32 has
        dtype = torch.promote_types(entries.dtype, torch.float32)
        grad_entries = lower_product(weighted.to(dtype), whitened.to(dtype), entries.dtype)
        grad_entries.diagonal().copy_(on_diagonal)
        return grad_z, grad_entries, None
