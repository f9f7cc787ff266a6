"""A VAE with a learned decoder variance γ, whose active latents count dimensions (Dai and Wipf, ICLR 2019)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

_ACTIVE = 0.5
"""The posterior variance, in the mean over rows, below which a latent is active: halfway between the 0 and the 1 that
the paper proves."""


class GaussianVAE(nn.Module):
    """p(z) = N(0, I), p(x | z) = N(d(z), γ I) with a learned γ, q(z | x) a Gaussian with independent entries.

    ``model(x)`` is minus the evidence lower bound, in nats, so that ``fit`` trains it.

    Args:
        features: D.
        latent_features: κ, not below the dimension of the manifold.
        hidden_features: widths of the encoder's hidden layers; the decoder has them in reverse.
        first_gamma: γ at the start of the training, in data units squared.
        input_at_last: whether the last layer of each net also sees the net's input, as in the second stage of the
            paper's code.
        generator: source of the draws of z in the loss.
    """

    def __init__(
        self,
        features: int,
        latent_features: int,
        *,
        hidden_features: Sequence[int],
        first_gamma: float = 1.0,
        input_at_last: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.latent_features = generator, latent_features
        net = _NetWithInputAtLast if input_at_last else _net
        self.encoder = net([features, *hidden_features, 2 * latent_features])
        self.decoder = net([latent_features, *reversed(hidden_features), features])
        self.log_gamma = nn.Parameter(torch.tensor(math.log(first_gamma)))

    @property
    def gamma(self) -> float:
        """γ, a variance in data units squared."""
        return float(self.log_gamma.detach().exp())

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, κ)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, x: Tensor) -> Tensor:
        """The loss on a batch (n, D), a scalar, with one draw of z a row."""
        return -self.lower_bound(x).mean()

    def lower_bound(self, x: Tensor) -> Tensor:
        """Of log p(x), (n,), by one draw of z."""
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.empty_like(mean).normal_(generator=self.generator)
        squares = (x - self.decoder(z)).square().sum(1) * torch.exp(-self.log_gamma)
        constant = x.shape[1] * (math.log(2.0 * math.pi) + self.log_gamma)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        return -0.5 * (squares + constant) - divergence

    @torch.no_grad()
    def posterior_variances(self, x: Tensor) -> Tensor:
        """The variance of each latent given a row, in the mean over rows, (κ,)."""
        return self.posterior(x)[1].exp().mean(0)

    def active_latents(self, x: Tensor) -> int:
        """The paper's estimate of the dimension: how many latents the rows determine."""
        return int((self.posterior_variances(x) < _ACTIVE).sum())

    @torch.no_grad()
    def sample(self, n: int, *, noise: bool = False, generator: torch.Generator | None = None) -> Tensor:
        """Rows d(z), z ~ N(0, I), (n, D), with the decoder's noise or without."""
        x: Tensor = self.decoder(torch.randn(n, self.latent_features, generator=generator))
        return x + self.gamma**0.5 * torch.randn(x.shape, generator=generator) if noise else x


def _net(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLUs between them."""
    layers: list[nn.Module] = []
    for m, n in pairwise(widths):
        layers += [nn.Linear(m, n), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _NetWithInputAtLast(nn.Module):
    """The same, whose last layer also sees the input."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*_net(widths[:-1]), nn.ReLU())
        self.last = nn.Linear(widths[0] + widths[-2], widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(torch.cat([x, self.hidden(x)], dim=1))
        return found
