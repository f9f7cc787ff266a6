"""The paper's comparison: maximum likelihood of a flow with free scales and a fixed standard Gaussian."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NegativeLogLikelihood(nn.Module):
    """−E log p(x + σ_x ε) of a flow, in nats; the data noise is the one the spread flow is trained with.

    Args:
        flow: an nflows ``Flow`` with any base.
        data_noise: σ_x, in data units; a schedule may change it.
        generator: source of the noise.
    """

    def __init__(self, flow: nn.Module, *, data_noise: float = 0.0, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.flow = flow
        self.data_noise = data_noise
        self.generator = generator

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The loss on a batch, a scalar."""
        noise = torch.empty_like(x).normal_(generator=self.generator)
        loss: Tensor = -self.flow.log_prob(x + self.data_noise * noise, context).mean()
        return loss
