"""Log-density and eigenvalues of the spread prior of a low-rank A, through the r×r matrix C = AᵀA + σ_Z² I."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.eigen import decomposable, factor_eigh, with_fixed_signs
from nflows_spread.linalg.few_features import SMALL, small_log_prob
from nflows_spread.linalg.spread_covariance import LOG_2PI, cholesky_or_qr, log_prob_of, spread_solve
from nflows_spread.linalg.torch_func import plain_log_prob, under_transforms


def low_rank_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I) (equation 12) at a cost of O(D r (r + n)).

    Args:
        z: points, shape (n, D).
        factor: A, shape (D, r).
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and ``factor`` have a
        closed form (see ``_LowRankLogProb``, or ``few_features`` for few features) and can be differentiated again.
    """
    if under_transforms(z, factor, spread_variance):
        return plain_log_prob(z, factor, spread_variance)
    if len(factor) <= SMALL:
        return small_log_prob(z, factor, spread_variance, lower=False)
    log_prob: Tensor = _LowRankLogProb.apply(z, factor, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _LowRankLogProb(torch.autograd.Function):
    """Log-density by Woodbury's identity and the determinant lemma, with the closed-form gradient.

    With C = AᵀA + σ_Z² I (r×r), x = C⁻¹Aᵀz, the coordinates of z, and p = z − Ax, what they leave:

        zᵀΣ⁻¹z = ‖p‖² / σ_Z² + ‖x‖²,        det Σ = σ_Z^{2(D−r)} det C,
        ∂/∂z_n = −w_n y_n with y = Σ⁻¹z = p / σ_Z²,        ∂/∂A = Σ_n w_n y_n x_nᵀ − (Σ_n w_n) A C⁻¹.

    The quadratic form is what ridge regression of z on A minimises. As a sum of squares it loses no
    digits, where the usual zᵀ(z − Ax) / σ_Z² subtracts two large numbers, and an error of x enters
    to second order only. C⁻¹ = WᵀW by the inverse W of C's Cholesky factor. All that cancels by orders of magnitude is
    in float64; the last sum of ∂/∂A, which does not, has the precision of z and A.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
        (features, rank), variance = factor.shape, float(spread_variance)
        # (r, D): products are faster with the long side last, as ``LowRankFactor`` has it in memory
        a = factor.mT.to(torch.float64, memory_format=torch.contiguous_format)
        identity = torch.eye(rank, dtype=a.dtype, device=a.device)
        gram = torch.addmm(identity, a, a.mT, beta=variance)
        cholesky = cholesky_or_qr(a, gram, variance, exact=factor.dtype == torch.float64)
        whitening = torch.linalg.solve_triangular(cholesky, identity, upper=False)
        rest = z.to(torch.float64, copy=True)
        coordinates = rest @ a.mT @ whitening.mT @ whitening
        rest.addmm_(coordinates, a, alpha=-1.0)
        norms = [torch.linalg.vector_norm(part, dim=1) for part in (coordinates, rest)]
        norm = torch.hypot(norms[0], norms[1].div_(math.sqrt(variance)))
        ctx.save_for_backward(z, factor, spread_variance, a, cholesky, whitening, coordinates, rest)
        constant = (features - rank) * math.log(variance) + features * LOG_2PI
        return log_prob_of(norm, cholesky.diagonal(), constant).type_as(z)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, factor, spread_variance, a, cholesky, whitening, coordinates, rest = ctx.saved_tensors
        weights = grad_outputs[0].double()
        if torch.is_grad_enabled() or under_transforms(weights):  # differentiated again or mapped: plain operations
            return _gradients_with_history(weights, z, factor, spread_variance, cholesky)
        precision = torch.promote_types(torch.promote_types(z.dtype, factor.dtype), torch.float32)
        weighted = rest.to(precision, copy=True).mul_((weights / -spread_variance).to(precision).unsqueeze(1))
        grad_z = weighted.type_as(z) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_z, None, None
        grad = (whitening.mT @ whitening @ a).to(precision)
        grad.addmm_(coordinates.mT.to(precision), weighted, beta=-float(weights.sum()), alpha=-1.0)
        return grad_z, grad.mT.to(factor.dtype), None


def _gradients_with_history(
    grad: Tensor, z: Tensor, factor: Tensor, spread_variance: Tensor, cholesky: Tensor
) -> tuple[Tensor, Tensor, None]:
    """What ``_LowRankLogProb.backward`` gives, as differentiable functions of the points and the factor, in float64."""
    a, weights = factor.double(), grad.unsqueeze(1)
    coordinates = spread_solve(a.mT @ z.double().mT, a.mT, cholesky).mT
    weighted = (z.double() - coordinates @ a.mT) * (weights / spread_variance.double())
    grad_factor = weighted.mT @ coordinates - weights.sum() * spread_solve(a.mT, a.mT, cholesky).mT
    return -weighted.type_as(z), grad_factor.type_as(factor), None


def low_rank_eigh(factor: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues Λ (D,) and eigenvectors E (D, D, in columns) of AAᵀ for A of shape (D, r), descending, float64.

    From the complete A = QR and R = U s Vᵀ: O(D² r) in place of O(D³). The last D − r are an arbitrary
    basis of the directions that A leaves flat.
    """
    basis, upper = torch.linalg.qr(decomposable(factor).double(), mode="complete")
    features, rank = factor.shape
    left, singular, _ = torch.linalg.svd(upper[:rank])
    vectors = torch.cat([basis[:, :rank] @ left, basis[:, rank:]], dim=1)
    return torch.nn.functional.pad(singular.square(), (0, features - rank)), with_fixed_signs(vectors)


def low_rank_eigenvalues(factor: Tensor) -> Tensor:
    """The eigenvalues Λ (D,) of ``low_rank_eigh`` alone."""
    singular = torch.linalg.svdvals(decomposable(factor).double())
    return torch.nn.functional.pad(singular.square(), (0, len(factor) - len(singular)))


def low_rank_of(root: Tensor, rank: int) -> Tensor:
    """The A of shape (D, rank), in float64, for which AAᵀ is RRᵀ or its best approximation of that rank."""
    if root.shape[1] <= rank:
        return torch.nn.functional.pad(root.double(), (0, rank - root.shape[1]))
    values, vectors = factor_eigh(root)
    return vectors[:, :rank] * values[:rank].sqrt()
