"""Training of a continuously indexed flow, or of the plain flow of equal size, on rows."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.continuously_indexed import INDEX_FEATURES, LAYERS, ContinuouslyIndexedFlow
from nflows_spread.training import fit

BATCH_SIZE, LEARNING_RATE = 1000, 1e-3
"""After the paper's sets in the plane."""

_FINAL_RATE, _GRADIENT_CLIP = 0.02, 5.0
"""Of the learning rate, and the largest norm of the gradient, as of the other baselines here."""


def continuously_indexed_flow(
    x: Tensor,
    *,
    seed: int,
    steps: int,
    index_features: int = INDEX_FEATURES,
    layers: int = LAYERS,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
) -> ContinuouslyIndexedFlow:
    """Train one on rows (n, D) of unit scale, the rate along a cosine.

    Args:
        x: rows.
        seed: of weights, order and draws.
        steps: of training.
        index_features: of each u; 0 for the plain flow.
        layers: of the flow.
        batch_size: rows of a batch, at most.
        learning_rate: of Adam at the start.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ContinuouslyIndexedFlow(x.shape[1], layers=layers, index_features=index_features, generator=generator)
    fit(
        model,
        x,
        steps=steps,
        batch_size=min(batch_size, len(x)),
        learning_rate=learning_rate,
        learning_rate_schedule=partial(CosineAnnealingLR, T_max=steps, eta_min=_FINAL_RATE * learning_rate),
        gradient_clip=_GRADIENT_CLIP,
        generator=generator,
        progress=False,
        processes=1,
    )
    return model.eval()
