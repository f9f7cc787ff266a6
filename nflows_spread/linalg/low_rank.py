"""The spread prior of a low-rank A, through the r×r matrix C = AᵀA + σ_Z² I."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.dense import LOG_2PI, cholesky_or_qr, spread_solve
from nflows_spread.linalg.spectra import factor_eigh, with_fixed_signs


def low_rank_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I) (equation 12) at a cost of O(D r (r + n)).

    Args:
        z: points, shape (n, D).
        factor: A, shape (D, r).
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and
        ``factor`` have a closed form (see ``_LowRankLogProb``) and can be differentiated again.
    """
    log_prob: Tensor = _LowRankLogProb.apply(z, factor, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _LowRankLogProb(torch.autograd.Function):
    """Log-density by Woodbury's identity and the determinant lemma, with the closed-form gradient.

    With C = AᵀA + σ_Z² I (r×r), x = C⁻¹Aᵀz, the coordinates of z, and p = z − Ax, what they leave:

        zᵀΣ⁻¹z = ‖p‖² / σ_Z² + ‖x‖²,        det Σ = σ_Z^{2(D−r)} det C,
        ∂/∂z_n = −w_n y_n with y = Σ⁻¹z = p / σ_Z²,        ∂/∂A = Σ_n w_n y_n x_nᵀ − (Σ_n w_n) A C⁻¹.

    The quadratic form is what ridge regression of z on A minimises. As a sum of squares it loses no
    digits, where the usual zᵀ(z − Ax) / σ_Z² subtracts two large numbers, and an error of x enters
    to second order only.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
        a, variance = factor.double(), spread_variance.double()
        rest = z.to(torch.float64, copy=True)
        cholesky = cholesky_or_qr(a.mT, a.mT @ a, variance, exact=factor.dtype == torch.float64)
        coordinates = torch.cholesky_solve((rest @ a).mT, cholesky).mT
        rest.addmm_(coordinates, a.mT, alpha=-1.0)
        ctx.save_for_backward(z, factor, variance, a, cholesky, coordinates, rest)
        features, rank = a.shape
        log_det = torch.add((features - rank) * variance.log(), cholesky.diagonal().log().sum(), alpha=2.0)
        squares = torch.addcdiv(coordinates.square().sum(1), torch.linalg.vector_norm(rest, dim=1).square(), variance)
        return squares.add_(log_det + features * LOG_2PI).mul_(-0.5).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, factor, variance, a, cholesky, coordinates, rest = ctx.saved_tensors
        weights = grad_outputs[0].double().unsqueeze(1)
        twice = torch.is_grad_enabled()
        if twice:  # the gradient is going to be differentiated: the same numbers, with their history
            a = factor.double()
            coordinates = spread_solve(a.mT @ z.double().mT, a.mT, cholesky).mT
            rest = z.double() - coordinates @ a.mT
        scale = weights / -variance
        grad_z = rest.to(z.dtype) * scale.to(z.dtype) if ctx.needs_input_grad[0] else None
        grad_factor = None
        if ctx.needs_input_grad[1]:
            grad = (coordinates * -scale).mT @ rest  # (r, D): the long side last is the fast way round
            if twice:
                grad = grad - weights.sum() * spread_solve(a.mT, a.mT, cholesky)
            elif factor.dtype == torch.float64:
                grad.addcmul_(torch.cholesky_solve(a.mT, cholesky), weights.sum(), value=-1.0)
            else:  # at C's condition numbers a float32 factor leaves the explicit inverse digits to spare
                grad.addmm_(torch.cholesky_inverse(cholesky) * -weights.sum(), a.mT)
            grad_factor = grad.mT.to(factor.dtype, memory_format=torch.contiguous_format)
        return grad_z, grad_factor, None


def low_rank_eigh(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues Λ (D,) and eigenvectors E (D, D, in columns) of AAᵀ for A of shape (D, r), descending, float64.

    From the complete A = QR and R = U s Vᵀ: O(D² r) in place of O(D³). The last D − r are an arbitrary
    basis of the directions that A leaves flat.
    """
    basis, upper = torch.linalg.qr(factor.double(), mode="complete")
    features, rank = factor.shape
    left, singular, _ = torch.linalg.svd(upper[:rank])
    vectors = torch.cat([basis[:, :rank] @ left, basis[:, rank:]], dim=1)
    return torch.nn.functional.pad(singular.square(), (0, features - rank)), with_fixed_signs(vectors)


def low_rank_of(root: Tensor, rank: int) -> Tensor:
    """The A of shape (D, rank), in float64, for which AAᵀ is RRᵀ or its best approximation of that rank."""
    if root.shape[1] <= rank:
        return torch.nn.functional.pad(root.double(), (0, rank - root.shape[1]))
    values, vectors = factor_eigh(root)
    return vectors[:, :rank] * values[:rank].sqrt()
