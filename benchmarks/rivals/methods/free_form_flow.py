"""Free-form injective flow in the benchmark of rivals."""

from __future__ import annotations

import torch

from baselines.budgeted_training import Budget
from baselines.free_form_flow import free_form_flow
from charts.data_set import Array
from charts.model import Model
from nflows_spread.estimator import Recipe
from rivals.rival import Rival, in_chunks, parameters, samples_of, tensor


def fit(
    x: Array,
    rank: int,
    seed: int,
    budget: Budget,
    *,
    learning_rate: float = 3.2e-2,
    reconstruction_weight: float = 30.0,
) -> Model:
    """With encoder and decoder of the widths of the spread flow's chart."""
    widths = (Recipe().chart_width,) * 3
    objective, steps = free_form_flow(
        tensor(x),
        rank,
        seed=seed,
        budget=budget,
        hidden_features=widths,
        learning_rate=learning_rate,
        reconstruction_weight=reconstruction_weight,
    )
    model = objective.model
    return Model(
        rank,
        encode=in_chunks(model.encoder),
        decode=in_chunks(model.decoder),
        sample=samples_of(lambda count, draws: model.points(torch.randn(count, rank, generator=draws)), seed),
        manifold_log_prob=in_chunks(objective.log_prob),
        notes={"steps": steps, "parameters": parameters(model)},
    )


RIVAL = Rival(
    fit,
    "Sorrenson et al., ICLR 2024",
    tried={
        "learning_rate": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2, 6.4e-2),
        "reconstruction_weight": (30.0, 10.0, 100.0, 300.0, 1000.0, 3.0, 1.0),
    },
)
