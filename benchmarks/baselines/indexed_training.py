"""Training of a continuously indexed flow, or of the plain flow of equal size, on rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.budgeted_training import Budget, train_within
from baselines.continuously_indexed import HIDDEN_FEATURES, INDEX_FEATURES, LAYERS, ContinuouslyIndexedFlow

BATCH_SIZE, LEARNING_RATE = 1000, 1e-3
"""After the paper's sets in the plane."""


def continuously_indexed_flow(
    x: Tensor,
    *,
    seed: int,
    budget: Budget,
    index_features: int = INDEX_FEATURES,
    layers: int = LAYERS,
    hidden_features: Sequence[int] = HIDDEN_FEATURES,
    batch_size: int = BATCH_SIZE,
    learning_rate: float = LEARNING_RATE,
) -> tuple[ContinuouslyIndexedFlow, int]:
    """Train one on rows (n, D) of unit scale within a budget.

    Args:
        x: rows.
        seed: of weights, order and draws.
        budget: when to stop.
        index_features: of each u; 0 for the plain flow.
        layers: of the flow.
        hidden_features: widths of the hidden layers of the couplings' nets.
        batch_size: rows of a batch, at most.
        learning_rate: of Adam at its largest.

    Returns:
        The flow, and the steps.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ContinuouslyIndexedFlow(
            x.shape[1],
            layers=layers,
            hidden_features=hidden_features,
            index_features=index_features,
            generator=generator,
        )
    return model, train_within(model, x, budget, learning_rate=learning_rate, batch_size=batch_size, seed=seed)
