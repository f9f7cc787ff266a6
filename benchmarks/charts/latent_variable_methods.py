"""Methods with latent variables for tables of rivals: a two-stage VAE and a continuously indexed flow."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from baselines.indexed_training import continuously_indexed_flow
from baselines.two_stage_vae import two_stage_vae
from charts.data_set import Array
from charts.model import Model

_LATENTS = 4
"""κ over K, at most D: a choice. The paper has many more latents than dimensions, and lets the others go."""

_FIRST, _SECOND = (64, 64), (64, 64)
_EPOCHS, _RATE = (150, 150), 2e-3
"""Of nets for a thousand rows, where the paper has tens of thousands of images: a choice, not tuned."""

_STEPS = 5000
"""Of a continuously indexed flow: a choice, not tuned."""


def two_stage(x: Array, rank: int, seed: int, *, epochs: tuple[int, int] = _EPOCHS) -> Model:
    """The K latents of least posterior variance are the coordinates; all others are 0 on the way back."""
    latents = min(x.shape[1], _LATENTS * rank)
    fitted = two_stage_vae(
        _rows(x),
        seed=seed,
        latent_features=latents,
        hidden_features=(_FIRST, _SECOND),
        epochs=epochs,
        learning_rate=_RATE,
    )
    kept = fitted.first.posterior_variances(_rows(x)).argsort()[:rank]

    @torch.no_grad()
    def encode(rows: Array) -> Array:
        return _array(fitted.first.posterior(_rows(rows))[0][:, kept])

    @torch.no_grad()
    def decode(coordinates: Array) -> Array:
        z = torch.zeros(len(coordinates), latents)
        z[:, kept] = _rows(coordinates)
        return _array(fitted.first.decoder(z))

    return Model(
        rank,
        encode=encode,
        decode=decode,
        sample=lambda count: _array(fitted.sample(count, generator=torch.Generator().manual_seed(seed))),
        notes={"active": fitted.first.active_latents(_rows(x)), "gamma": fitted.first.gamma, "latents": latents},
    )


def continuously_indexed(x: Array, rank: int, seed: int, *, steps: int = _STEPS) -> Model:
    """A density and samples of all D dimensions; it knows no K and has no coordinates."""
    fitted = continuously_indexed_flow(_rows(x), seed=seed, steps=steps)
    return Model(
        rank,
        sample=lambda count: _array(fitted.sample(count, generator=torch.Generator().manual_seed(seed))),
        log_prob=lambda rows: _array(fitted.log_prob(_rows(rows), generator=torch.Generator().manual_seed(seed))),
        notes={"steps": steps},
    )


def _rows(x: Array) -> Tensor:
    return torch.as_tensor(x, dtype=torch.float32)


def _array(x: Tensor) -> Array:
    return np.asarray(x.double().numpy())
