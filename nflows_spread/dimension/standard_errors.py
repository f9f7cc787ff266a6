"""Standard errors of the signal-to-noise eigenvalues μ, by the infinitesimal jackknife: a bootstrap to first order."""

from __future__ import annotations

import torch
from torch import Tensor


def relative_errors(
    signal: Tensor,
    *,
    points: int,
    response: Tensor | None = None,
    pairs: int = 1,
    noise_share: float | Tensor = 0.0,
) -> Tensor:
    """Relative standard error of each μ_k of S v = μ N v from the finite number of points and of responses, (D,).

    S and N are means, of (z − m)(z − m)ᵀ over points and of r rᵀ over responses to noise, and to first order
    δμ_k / μ_k = v_kᵀ δS v_k / v_kᵀ S v_k − v_kᵀ δN v_k / v_kᵀ N v_k. So the error is what the squares of v_kᵀ(z − m)
    and of v_kᵀ r vary by over the root of their numbers, which a part of the rows tells, for heavy tails too, and
    without another decomposition. Where S holds σ_x² N from the same draws, a share σ_x² / μ_k of δN is common to both.

    Args:
        signal: (v_kᵀ(z − m))² / v_kᵀ S v_k of some of the points, (n, D).
        points: the number of all points; noisy copies of a point are no new point.
        response: (v_kᵀ r)² / v_kᵀ N v_k of some of the responses, (m, D), or None where N is known.
        pairs: the number of all responses.
        noise_share: σ_x² / μ_k, (D,), where S holds σ_x² N, or 0.

    References:
        L. Jaeckel, The infinitesimal jackknife, Bell Labs, 1972. B. Efron, The jackknife, the bootstrap and other
        resampling plans, SIAM, 1982.
    """
    variance = signal.var(0) / points
    if response is not None:
        share = 1.0 - torch.as_tensor(noise_share)
        variance = variance + share.square() * response.var(0) / pairs
    return variance.sqrt()
