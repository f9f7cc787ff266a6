"""How the baselines that read a dimension off a density train their flows, and how they read a slope off it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from nflows_spread.training import fit

LAYERS = 8
HIDDEN_FEATURES = (64, 64)
STEPS = 2000
_BATCH = 200
_LEARNING_RATE = 2e-3
_FINAL_RATE = 0.02
_GRADIENT_CLIP = 5.0
_HELD_OUT_SHARE = 0.1


def train(objective: nn.Module, rows: Tensor, *, steps: int, generator: torch.Generator, **options: Any) -> None:
    """Minimise an objective on rows (n, D) of unit scale, the learning rate along a cosine.

    Args:
        objective: takes a batch and gives the loss.
        rows: to train on.
        steps: at most.
        generator: of the order of the rows.
        options: further ones of ``fit``.
    """
    fit(
        objective,
        rows,
        steps=steps,
        batch_size=min(_BATCH, len(rows)),
        learning_rate=_LEARNING_RATE,
        learning_rate_schedule=lambda optimizer: CosineAnnealingLR(
            optimizer, steps, eta_min=_FINAL_RATE * _LEARNING_RATE
        ),
        gradient_clip=_GRADIENT_CLIP,
        generator=generator,
        progress=False,
        processes=1,
        **options,
    )


def held_out_and_kept(rows: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """A tenth of the rows by chance, at least one, and the others."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    held_out, kept = rows[order].tensor_split([max(1, round(_HELD_OUT_SHARE * len(rows)))])
    return held_out, kept


def slopes(inputs: Tensor, values: Tensor) -> Tensor:
    """Least-squares slope of each column of values (levels, n) over the inputs (levels,), (n,)."""
    centred = inputs - inputs.mean()
    return centred @ values / centred.square().sum()
