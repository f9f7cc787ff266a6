"""Synthetic digits of dimension 5: what the decoder of a small variational autoencoder of digits makes of latents."""

from __future__ import annotations

import copy
from functools import lru_cache

import torch
from torch import Tensor

from baselines.vae import VariationalAutoencoder, trained_autoencoder
from charts.data_set import Array
from charts.manifolds import ROWS
from nflows_spread.datasets import handwritten_digits
from shared.command import RESULTS

DIMENSION = 5

_STEPS, _RATE = 3000, 1e-3
"""Of its training: a choice. Of the Jacobians at 200 latents the least singular value was 0.07, a third of the scale
of the images, and its median 0.24, so that all five directions can be seen."""


def synthetic_digits(seed: int) -> Array:
    """Images of 8 × 8 pixels, (n, 64), without noise; the autoencoder is the same for every seed."""
    images, _ = _autoencoder().sample(ROWS, generator=torch.Generator().manual_seed(seed))
    found: Array = images.double().numpy()
    return found


def decoded(z: Tensor) -> Tensor:
    """The images (n, 64) at latents (n, 5), in float64."""
    images: Tensor = _decoder()(z)
    return images


@lru_cache(maxsize=1)
def _autoencoder() -> VariationalAutoencoder:
    """Trained once, in seconds, and kept beside the results."""
    return trained_autoencoder(
        handwritten_digits().x, latent_features=DIMENSION, folder=RESULTS / "models", steps=_STEPS, learning_rate=_RATE
    )


@lru_cache(maxsize=1)
def _decoder() -> torch.nn.Module:
    return copy.deepcopy(_autoencoder().decoder).double().requires_grad_(False)
