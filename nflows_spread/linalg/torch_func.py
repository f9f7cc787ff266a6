"""Densities under ``torch.func`` and forward-mode differentiation, of plain operations.

``vmap``, ``jvp`` and what is built on them follow operations of torch, but no function with a gradient of its own that
decides by the numbers it sees. There these take the place of those functions: the same densities, in float64, which
can be mapped over and differentiated in any direction and as often as one likes. They cost more: a QR decomposition
in the place of Cholesky's, so that no flat direction is lost although nothing can be checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad

from nflows_spread.linalg.spread_covariance import LOG_2PI

# of ``torch.autograd.grad(..., is_grads_batched=True)``; torch has no public question for it, and older ones have none
_is_batch_of_gradients: Callable[[Tensor], bool] = getattr(
    torch._C._functorch, "is_legacy_batchedtensor", lambda tensor: False
)


def under_transforms(*tensors: Tensor) -> bool:
    """Whether a transform of ``torch.func`` is at work, or a tensor is one of many batches or has a tangent."""
    if torch.compiler.is_compiling():
        return False
    if torch._C._are_functorch_transforms_active() or any(map(_is_batch_of_gradients, tensors)):
        return True
    return forward_ad._current_level >= 0 and any(forward_ad.unpack_dual(t).tangent is not None for t in tensors)


def plain_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I), (n,), for points z (n, D) and any A of shape (D, r).

    With [Aᵀ, σ_Z I]ᵀ = QR and Q₁ the first D rows of Q, x = R⁻¹Q₁ᵀz are the coordinates that ridge regression of z on A
    finds: zᵀΣ⁻¹z = ‖z − Ax‖² / σ_Z² + ‖x‖², and det Σ = σ_Z^{2(D−r)} det RᵀR.
    """
    a, points, variance = factor.double(), z.double(), spread_variance.double()
    features, rank = a.shape
    noise = variance.sqrt() * torch.eye(rank, dtype=a.dtype, device=a.device)
    basis, upper = torch.linalg.qr(torch.cat([a, noise]))
    coordinates = torch.linalg.solve_triangular(upper, basis[:features].mT @ points.mT, upper=True).mT
    squares = (points - coordinates @ a.mT).square().sum(1) / variance + coordinates.square().sum(1)
    log_det = 2.0 * upper.diagonal().abs().log().sum() + (features - rank) * variance.log()
    return (-0.5 * (squares + log_det + features * LOG_2PI)).to(z.dtype)


def plain_log_prob_from_cholesky(z: Tensor, cholesky: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ), (n,), for points z (n, D) and a lower-triangular L in float64 with a positive diagonal."""
    whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
    log_det = 2.0 * cholesky.diagonal().log().sum()
    return (-0.5 * (whitened.square().sum(0) + log_det + len(cholesky) * LOG_2PI)).to(z.dtype)


def gradients_of_plain(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], needed: Sequence[bool], upstream: Tensor
) -> tuple[Tensor | None, ...]:
    """What a backward pass returns for its inputs where it is differentiated again or mapped, None where not needed.

    Args:
        function: the forward pass, of plain operations.
        inputs: its arguments.
        needed: for each of them, whether it needs a gradient; there may be more than there are inputs.
        upstream: the gradient of what the function returns.
    """
    wanted = [each for each, is_needed in zip(inputs, needed, strict=False) if is_needed]
    with torch.enable_grad():
        gradients = torch.autograd.grad(function(*inputs), wanted, upstream, create_graph=True)
    again = iter(gradients)
    return tuple(next(again) if is_needed else None for _, is_needed in zip(inputs, needed, strict=False))
