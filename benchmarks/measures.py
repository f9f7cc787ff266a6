"""Numbers that say how good a flow is: likelihood, and density on the manifold."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def negative_log_likelihood(flow: nn.Module, x: Tensor, data_noise: float, generator: torch.Generator) -> float:
    """−E log p(x + σ_x ε) in nats on held-out points; comparable between flows at the same σ_x."""
    noisy = x + data_noise * torch.empty_like(x).normal_(generator=generator)
    return -float(flow.log_prob(noisy).mean())


def total_variation(density: Tensor, truth: Tensor, cell: float) -> float:
    """½ ∫ |p − q| over cells of equal volume, with what either puts outside them counted as apart."""
    outside = abs(float((density - truth).sum())) * cell
    return 0.5 * (float((density - truth).abs().sum()) * cell + outside)
