"""The variational autoencoder whose decoder is the paper's source of digits of known dimension (appendix C.5.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from shared.trained_once import trained_once

_CHUNK = 10_000


class VariationalAutoencoder(nn.Module):
    """p(z) = N(0, I), p(x | z) = N(g(z), σ² I) with a fixed σ, and q(z | x) a Gaussian with independent entries.

    ``model(x)`` is the loss, so that ``fit`` trains it. Data x = g(z) with z ~ N(0, I) and without the
    decoder's noise has the intrinsic dimension of z; the paper calls this the implicit model.

    Args:
        features: D, the number of pixels.
        latent_features: dim(z).
        hidden_features: widths of the encoder's hidden layers; the decoder has them in reverse.
        decoder_noise: σ.
        generator: source of the draws of z in the loss.

    Reference: D. Kingma and M. Welling, Auto-encoding variational Bayes, 2014.
    """

    def __init__(
        self,
        features: int,
        latent_features: int,
        *,
        hidden_features: Sequence[int] = (400, 200),
        decoder_noise: float = 0.3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.latent_features = latent_features
        self.decoder_noise = decoder_noise
        self.generator = generator
        self.encoder = _net([features, *hidden_features, 2 * latent_features])
        self.decoder = nn.Sequential(_net([latent_features, *reversed(hidden_features), features]), nn.Sigmoid())

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (n, latent_features)."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def forward(self, x: Tensor) -> Tensor:
        """Minus the evidence lower bound of images (n, D), the mean over the batch, in nats.

        The Kullback-Leibler divergence is exact, the reconstruction term has one draw of z an image.
        """
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * torch.empty_like(mean).normal_(generator=self.generator)
        squares = ((x - self.decoder(z)) / self.decoder_noise).square().sum(1)
        constant = x.shape[1] * (math.log(2.0 * math.pi) + 2.0 * math.log(self.decoder_noise))
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        return (0.5 * (squares + constant) + divergence).mean()

    @torch.no_grad()
    def sample(self, num_samples: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Images g(z), (n, D), and their z ~ N(0, I), (n, latent_features); no noise is added."""
        z = torch.randn(num_samples, self.latent_features, generator=generator)
        return torch.cat([self.decoder(part) for part in z.split(_CHUNK)]), z


def trained_autoencoder(
    x: Tensor,
    *,
    latent_features: int,
    folder: Path,
    steps: int,
    learning_rate: float,
    batch_size: int = 100,
    seed: int = 0,
) -> VariationalAutoencoder:
    """The autoencoder of appendix C.5.1, trained on images x (n, D), once.

    The paper trains it for 100 epochs of 60 000 images, which is 60 000 steps, with Adam at 1e-4
    and batches of 100.

    Args:
        x: images in [0, 1].
        latent_features: dim(z).
        folder: where the trained model is kept.
        steps: of training.
        learning_rate: of Adam.
        batch_size: images of a batch.
        seed: of weights, order and draws.
    """
    return trained_once(
        f"autoencoder-{latent_features}",
        lambda: VariationalAutoencoder(x.shape[1], latent_features, generator=torch.Generator().manual_seed(seed)),
        (x,),
        folder=folder,
        settings={"latent_features": latent_features},
        seed=seed,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )


def _net(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of the given widths with ReLUs between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
