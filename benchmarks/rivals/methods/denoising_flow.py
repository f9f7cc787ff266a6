"""Denoising normalizing flow in the benchmark of rivals."""

from __future__ import annotations

from baselines.budgeted_training import Budget
from baselines.denoising_flow import denoising_flow
from charts.data_set import Array
from charts.model import Model
from rivals.methods.injective import injective_model, outer_size
from rivals.rival import Rival, in_chunks, tensor


def fit(
    x: Array,
    rank: int,
    seed: int,
    budget: Budget,
    *,
    learning_rate: float = 1e-2,
    noise: float = 0.05,
    reconstruction_weight: float = 1000.0,
) -> Model:
    """With its density in D dimensions, that of rows with noise."""
    objective, steps = denoising_flow(
        tensor(x),
        rank,
        seed=seed,
        budget=budget,
        learning_rate=learning_rate,
        noise=noise,
        reconstruction_weight=reconstruction_weight,
        **outer_size(x.shape[1]),
    )
    return injective_model(objective.flow, steps, seed, log_prob=in_chunks(objective.log_prob))


RIVAL = Rival(
    fit,
    "Horvat and Pfister, NeurIPS 2021",
    tried={
        "learning_rate": (2e-3, 5e-3, 1e-2, 2e-2),
        "noise": (0.05, 0.02, 0.1, 0.01),
        "reconstruction_weight": (100.0, 10.0, 1000.0, 3000.0),
    },
)
