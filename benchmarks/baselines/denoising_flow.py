"""Denoising normalizing flow: density of noisy data and denoising onto a manifold (Horvat and Pfister, NeurIPS 2021).

Written anew from the paper. A flow f of all D dimensions splits its latents into coordinates u, with a flow of their
own, and directions off the manifold v ~ N(0, σ² I). Of rows with noise, x̃ = x + σ ε, it minimises
−E log p(x̃) + λ E‖x − f⁻¹(u(x̃), 0)‖²: one phase, no determinant of a rectangular Jacobian, and the noise says what is
off the manifold. σ, λ and the learning rate were tuned here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.budgeted_training import Budget, train_within
from baselines.injective_flow import InjectiveFlow, injective_flow

BATCH_SIZE = 100
"""Rows a step, as of M-flow beside it."""


class DenoisingLoss(nn.Module):
    """−E log p(x + σ ε) + λ E‖x − g(u(x + σ ε))‖², in nats.

    Args:
        flow: what is trained.
        noise: σ, of the rows and of the latents off the manifold.
        reconstruction_weight: λ.
        generator: source of the noise.
    """

    def __init__(
        self,
        flow: InjectiveFlow,
        *,
        noise: float,
        reconstruction_weight: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.flow, self.noise, self.reconstruction_weight = flow, noise, reconstruction_weight
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """The loss on rows (n, D), a scalar."""
        noisy = x + self.noise * torch.empty_like(x).normal_(generator=self.generator)
        latents, logabsdet = self.flow.outer(noisy)
        u = latents[:, : self.flow.rank]
        squares = (self.flow.decode(u) - x).square().sum(1)
        return (self.reconstruction_weight * squares - self._log_prob(latents, logabsdet)).mean()

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density of the data with noise in D dimensions, (n,)."""
        return self._log_prob(*self.flow.outer(x))

    def _log_prob(self, latents: Tensor, logabsdet: Tensor) -> Tensor:
        u, v = latents.tensor_split([self.flow.rank], dim=1)
        squares = v.square().sum(1) / self.noise**2
        off = -0.5 * (squares + v.shape[1] * math.log(2.0 * math.pi * self.noise**2))
        found: Tensor = self.flow.inner.log_prob(u) + off + logabsdet
        return found


def denoising_flow(
    x: Tensor,
    rank: int,
    *,
    seed: int,
    budget: Budget,
    layers: int,
    hidden_features: Sequence[int],
    learning_rate: float,
    noise: float,
    reconstruction_weight: float,
) -> tuple[DenoisingLoss, int]:
    """Train one. Arguments as for ``m_flow`` and ``DenoisingLoss``; returns the loss, with the flow, and the steps."""
    flow = injective_flow(x, rank, layers=layers, hidden_features=hidden_features, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    objective = DenoisingLoss(flow, noise=noise, reconstruction_weight=reconstruction_weight, generator=generator)
    steps = train_within(objective, x, budget, learning_rate=learning_rate, batch_size=BATCH_SIZE, seed=seed)
    return objective, steps
