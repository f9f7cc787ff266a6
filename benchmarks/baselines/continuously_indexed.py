"""CIF: a flow whose layers are indexed by a continuous latent variable (Cornish et al., ICML 2020).

Each layer maps x to z = exp(−s(u)) ⊙ (f(x) − t(u)), f a bijection and u | z a Gaussian, so that the marginal of x is no
longer that of one bijection and its support need not be of the topology of the prior's. The likelihood has a lower
bound, through q(u | x). Written anew from the paper's description, on the couplings of this project.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.transforms import Transform
from torch import Tensor, nn

from nflows_spread.models.coupling import coupling_layers

LAYERS, HIDDEN_FEATURES, INDEX_FEATURES, INDEX_HIDDEN = 10, (64, 64), 2, (10, 10)
"""After the paper's sets in the plane: layers, widths of couplings' nets, dimensions of u, and widths of its nets."""


class _Gaussian(nn.Module):
    """N(m(v), diag(exp(2 l(v)))) of an index u given v."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = _net(inputs, 2 * outputs)

    def forward(self, v: Tensor) -> torch.distributions.Normal:
        mean, log_scale = self.net(v).chunk(2, dim=1)
        return torch.distributions.Normal(mean, log_scale.exp())


class IndexedLayer(nn.Module):
    """One layer: the bijection, the scale and shift by u, and u | z and u | x.

    Args:
        bijection: f, of data towards the latent.
        features: D.
        index_features: of u.
    """

    def __init__(self, bijection: Transform, features: int, index_features: int) -> None:
        super().__init__()
        self.bijection = bijection
        self.scale_and_shift = _net(index_features, 2 * features)
        self.prior, self.posterior = _Gaussian(features, index_features), _Gaussian(features, index_features)

    def encode(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """z, (n, D), and log|det ∂z/∂x|, (n,)."""
        log_scale, shift = self.scale_and_shift(u).chunk(2, dim=1)
        z, logabsdet = self.bijection(x)
        return (z - shift) * torch.exp(-log_scale), logabsdet - log_scale.sum(1)

    def decode(self, z: Tensor, u: Tensor) -> Tensor:
        """x, (n, D)."""
        log_scale, shift = self.scale_and_shift(u).chunk(2, dim=1)
        x: Tensor = self.bijection.inverse(z * log_scale.exp() + shift)[0]
        return x


class ContinuouslyIndexedFlow(nn.Module):
    """z_l = exp(−s_l(u_l)) ⊙ (f_l(z_{l−1}) − t_l(u_l)) of z_0 = x, z_L ~ N(0, I); ``model(x)`` is the loss.

    Args:
        features: D.
        layers: L.
        hidden_features: widths of the couplings' nets.
        index_features: of each u_l; 0 is the plain flow.
        generator: source of the permutations and of the draws of u in the loss.
    """

    def __init__(
        self,
        features: int,
        *,
        layers: int = LAYERS,
        hidden_features: Sequence[int] = HIDDEN_FEATURES,
        index_features: int = INDEX_FEATURES,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.features, self.index_features, self.generator = features, index_features, generator
        bijections = coupling_layers(
            features,
            layers=layers,
            hidden_features=hidden_features,
            context_features=None,
            permute=False,  # by trials on the rivals' sets made for it: 0.40 without, 0.51 with, in their score
            volume_preserving=False,
            bounded_scale=True,
            generator=generator,
        )
        self.layers = nn.ModuleList(IndexedLayer(each, features, index_features) for each in bijections)

    def forward(self, x: Tensor) -> Tensor:
        """−E of the lower bound on a batch (n, D), a scalar, in nats."""
        return -self.lower_bound(x, generator=self.generator).mean()

    def lower_bound(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """log p(x, u) − log q(u | x) for one draw of u, (n,); its mean is below log p(x)."""
        total, z = x.new_zeros(len(x)), x
        for layer in self.layers:
            q = layer.posterior(z)
            u = q.mean + q.stddev * torch.empty_like(q.mean).normal_(generator=generator)
            total, (z, logabsdet) = total - q.log_prob(u).sum(1), layer.encode(z, u)
            total = total + logabsdet + layer.prior(z).log_prob(u).sum(1)
        return total + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)

    @torch.no_grad()
    def log_prob(self, x: Tensor, *, draws: int = 100, generator: torch.Generator | None = None) -> Tensor:
        """log p(x), (n,), by importance sampling, from below: log of the mean of exp of so many bounds."""
        bounds = torch.stack([self.lower_bound(x, generator=generator) for _ in range(draws)])
        return bounds.logsumexp(0) - torch.tensor(float(draws)).log()

    @torch.no_grad()
    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """z ~ N(0, I), u | z, and back, layer by layer, (n, D)."""
        z = torch.randn(n, self.features, generator=generator)
        for layer in reversed(self.layers):
            p = layer.prior(z)
            z = layer.decode(z, p.mean + p.stddev * torch.randn(p.mean.shape, generator=generator))
        return z


def _net(inputs: int, outputs: int) -> nn.Sequential:
    """Tanh between linear layers of the index nets' widths."""
    first, second = INDEX_HIDDEN
    hidden = nn.Linear(inputs, first), nn.Tanh(), nn.Linear(first, second), nn.Tanh()
    return nn.Sequential(*hidden, nn.Linear(second, outputs))
