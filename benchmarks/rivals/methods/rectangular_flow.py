"""Rectangular flow in the benchmark of rivals."""

from __future__ import annotations

from baselines.budgeted_training import Budget
from baselines.rectangular_flow import rectangular_flow
from charts.data_set import Array
from charts.model import Model
from rivals.methods.injective import injective_model, outer_size
from rivals.rival import Rival, tensor


def fit(
    x: Array,
    rank: int,
    seed: int,
    budget: Budget,
    *,
    learning_rate: float = 1e-2,
    reconstruction_weight: float = 100.0,
    warm_up: float = 0.5,
) -> Model:
    """With the exact determinant.

    A step of six couplings took 0.39, 0.45, 0.53 and 0.64 of the time that it takes with conjugate gradients at K = 2
    of 3, 5 of 20, 10 and 16 of 30.
    """
    flow, steps = rectangular_flow(
        tensor(x),
        rank,
        seed=seed,
        budget=budget,
        learning_rate=learning_rate,
        reconstruction_weight=reconstruction_weight,
        warm_up=warm_up,
        **outer_size(x.shape[1]),
    )
    return injective_model(flow, steps, seed)


RIVAL = Rival(
    fit,
    "Caterini et al., NeurIPS 2021",
    tried={
        "learning_rate": (2e-3, 5e-3, 1e-2, 2e-2),
        "reconstruction_weight": (100.0, 10.0, 1000.0),
        "warm_up": (0.5, 0.7, 0.3),
    },
)
