"""Rounding of 1×1 kernels to float32 that keeps their determinant."""

from __future__ import annotations

import torch
from torch import Tensor

_FURTHEST = 256


def with_logabsdet(kernel: Tensor, logabsdet: Tensor) -> Tensor:
    """The same kernel with the log|det W| that it should have, where rounding has left another one.

    Float32 leaves the determinant of a product LU off by 1e-7 to 1e-5, and it counts once for each pixel that
    the kernel is applied to. The next float32 number in the place of W_ij moves log|det W| by (W⁻¹)_ji times
    the distance, a different amount for each entry. So some entry takes log|det W| to within 3e-8, most often
    1e-9, of where it should be, by a few such moves. Gradients are as without them.

    Args:
        kernel: W, an invertible matrix; in float64 it is returned as it is.
        logabsdet: what log|det W| should be, a scalar.
    """
    if kernel.dtype == torch.float64:
        return kernel
    with torch.no_grad():
        entries = kernel.detach()
        exact = entries.double()
        excess = torch.linalg.slogdet(exact).logabsdet - logabsdet
        slopes = torch.linalg.inv_ex(exact).inverse.mT  # of log|det W| in its entries
        spacing = torch.nextafter(entries, torch.full_like(entries, torch.inf)) - entries
        moves = (-excess / (slopes * spacing)).round().nan_to_num(0.0).clamp(-_FURTHEST, _FURTHEST)
        distances = (entries + moves.to(entries.dtype) * spacing) - entries
        best = (excess + slopes * distances).abs().argmin()
        correction = torch.where(torch.arange(entries.numel(), device=best.device) == best, distances.flatten(), 0.0)
    return kernel + correction.view_as(kernel)
