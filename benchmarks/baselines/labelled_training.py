"""GIN within a budget: its couplings from principal components on, and what it offers of rows without labels.

It stands beside others that have coordinates, points, samples and a density of all D dimensions. Labels are known of
the training rows alone: the density of others is the mixture of the labels' Gaussians by the labels' shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from nflows.transforms import CompositeTransform, Transform
from torch import Tensor, nn

from baselines.budgeted_training import Budget, train_within
from baselines.gin import DATA_NOISE, LEARNING_RATE, LabelledGaussian
from baselines.injective_flow import couplings_from_identity
from nflows_spread.transforms import PrincipalRotation

_LEAST_SCALE = 1e-3
"""Of a label's Gaussian at the start, in units of the rows: a column may have one value in a label."""


class LabelledFlow(nn.Module):
    """A transform of volume 1, a Gaussian for each label in its latents, and the labels' shares.

    As an objective it takes rows with their labels as a last column.

    Args:
        transform: of (n, D), with log-determinant 0.
        base: of its latents.
        shares: of the labels, (C,).
        data_noise: σ_x of the training, in units of the rows.
        generator: of that noise.
    """

    shares: Tensor

    def __init__(
        self,
        transform: Transform,
        base: LabelledGaussian,
        shares: Tensor,
        *,
        data_noise: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.transform, self.base = transform, base
        self.data_noise, self.generator = data_noise, generator
        self.register_buffer("shares", shares)

    def forward(self, rows: Tensor) -> Tensor:
        """GIN's loss, −E log N(g(x + σ_x ε); m_c, s_c²), of rows with labels (n, D + 1)."""
        noise = torch.empty_like(rows[:, :-1]).normal_(generator=self.generator)
        return self._loss(rows[:, :-1] + self.data_noise * noise, rows[:, -1])

    def validation_loss(self, x: Tensor) -> Tensor:
        """The same without noise."""
        return self._loss(x[:, :-1], x[:, -1])

    def _loss(self, x: Tensor, labels: Tensor) -> Tensor:
        return -cast(Tensor, self.base.log_prob(self.encode(x), labels.long())).mean()

    def encode(self, x: Tensor) -> Tensor:
        """All D latents of rows (n, D)."""
        return cast(Tensor, self.transform(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """Rows of all D latents (n, D)."""
        return cast(Tensor, self.transform.inverse(z)[0])

    def log_prob(self, x: Tensor) -> Tensor:
        """log Σ_c p_c N(g(x); m_c, s_c²), (n,), as the log-determinant is 0."""
        z, labels = self.encode(x), torch.arange(len(self.shares))
        each = self.base.log_prob(z.repeat_interleave(len(labels), dim=0), labels.repeat(len(z)))
        return torch.logsumexp(each.view(len(z), -1) + self.shares.log(), dim=1)

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Rows (count, D), each of a label that is drawn by its share."""
        labels = torch.multinomial(self.shares, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.base.means.shape[1], generator=generator)
        return self.decode(self.base.means[labels] + self.base.log_scales[labels].exp() * noise)

    @torch.no_grad()
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each latent over all labels, both (D,)."""
        means, variances = self.base.means, (2.0 * self.base.log_scales).exp()
        mean = self.shares @ means
        return mean, self.shares @ (variances + (means - mean).square())


def labelled_flow(
    x: Tensor,
    labels: Tensor,
    *,
    seed: int,
    budget: Budget,
    layers: int,
    hidden_features: Sequence[int],
    batch_size: int,
    learning_rate: float = LEARNING_RATE,
    data_noise: float = DATA_NOISE,
) -> tuple[LabelledFlow, int]:
    """Train GIN on rows (n, D) of unit scale within a budget.

    It starts at principal components, couplings that are the identity, and the labels' means and scales there.

    Args:
        x: rows.
        labels: whole numbers from 0, (n,).
        seed: of weights, permutations, order and noise.
        budget: when to stop.
        layers: couplings.
        hidden_features: widths of the hidden layers of their nets.
        batch_size: rows of a batch, at most.
        learning_rate: of Adam at its largest.
        data_noise: σ_x.

    Returns:
        The flow, and the steps.
    """
    features, generator = x.shape[1], torch.Generator().manual_seed(seed)
    counts = torch.bincount(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rotation = PrincipalRotation(features)
        couplings = couplings_from_identity(features, layers, hidden_features, generator, volume_preserving=True)
        flow = LabelledFlow(
            CompositeTransform([rotation, *couplings]),
            LabelledGaussian(features, len(counts)),
            counts / counts.sum(),
            data_noise=data_noise,
            generator=generator,
        )
    rotation.initialize(x)
    _start_at_labels(flow, x, labels)
    rows = torch.cat([x, labels[:, None].to(x)], 1)
    return flow, train_within(flow, rows, budget, learning_rate=learning_rate, batch_size=batch_size, seed=seed)


@torch.no_grad()
def _start_at_labels(flow: LabelledFlow, x: Tensor, labels: Tensor) -> None:
    """Means and standard deviations of each label's latents, those of all where a label has one row at most."""
    z = flow.encode(x)
    for label in range(len(flow.shares)):
        own = z[labels == label]
        own = own if len(own) > 1 else z
        flow.base.means[label] = own.mean(0)
        flow.base.log_scales[label] = own.std(0).clamp_min(_LEAST_SCALE).log()
