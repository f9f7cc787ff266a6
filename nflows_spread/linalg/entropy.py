"""The paper's kernel estimate of the entropy of the spread latents (appendix B.4)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nflows_spread.linalg.spread_covariance import LOG_2PI


def kernel_negative_entropy(z: Tensor, spread_variance: Tensor) -> Tensor:
    """The paper's estimate of −H(Z_Q̃): mean_n log (1/N Σ_m N(z_n; z_m, σ_Z² I)) (equation 39).

    A scalar. It saturates as soon as σ_Z is small against the distance between neighbours; offered
    as the ablation of the paper's appendix B.4.
    """
    variance = spread_variance.double()
    points = z.double() - z.double().mean(0)  # about any other centre the products below would cancel
    squared_norms = points.square().sum(1)
    squared_distances = (squared_norms.unsqueeze(1) + squared_norms - 2.0 * points @ points.mT).clamp_min(0.0)
    log_kernels = -0.5 * (squared_distances / variance + z.shape[1] * (variance.log() + LOG_2PI))
    return (torch.logsumexp(log_kernels, dim=1) - math.log(len(z))).mean().to(z.dtype)
