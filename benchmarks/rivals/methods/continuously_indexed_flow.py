"""Continuously indexed flow in the benchmark of rivals."""

from __future__ import annotations

import torch

from baselines.budgeted_training import Budget
from baselines.indexed_training import continuously_indexed_flow
from charts.data_set import Array
from charts.model import Model
from rivals.measures import COVERAGE, DISTANCE
from rivals.methods.injective import outer_size
from rivals.rival import Rival, in_chunks, parameters, samples_of, tensor

_BATCH_SIZE = 100
"""Rows a step, as of the others; the paper's 1000 are of sets without end."""


def fit(
    x: Array, rank: int, seed: int, budget: Budget, *, learning_rate: float = 1e-2, index_features: int = 1
) -> Model:
    """A density and samples of all D dimensions: it has no coordinates, and K is not looked at."""
    fitted, steps = continuously_indexed_flow(
        tensor(x),
        seed=seed,
        budget=budget,
        index_features=index_features,
        batch_size=_BATCH_SIZE,
        learning_rate=learning_rate,
        **outer_size(x.shape[1]),
    )
    return Model(
        x.shape[1],
        sample=samples_of(lambda count, generator: fitted.sample(count, generator=generator), seed),
        log_prob=in_chunks(lambda rows: fitted.log_prob(rows, generator=torch.Generator().manual_seed(seed))),
        notes={"steps": steps, "parameters": parameters(fitted)},
    )


RIVAL = Rival(
    fit,
    "Cornish et al., ICML 2020",
    rank="none",
    tried={"learning_rate": (1e-3, 3e-3, 1e-2, 2e-2), "index_features": (2, 1, 4)},
    judged_by=(DISTANCE, COVERAGE),
)
