"""M-flow in the benchmark of rivals."""

from __future__ import annotations

from baselines.budgeted_training import Budget
from baselines.m_flow import m_flow
from charts.data_set import Array
from charts.model import Model
from rivals.methods.injective import injective_model, outer_size
from rivals.rival import Rival, tensor


def fit(
    x: Array, rank: int, seed: int, budget: Budget, *, learning_rate: float = 1e-2, density_rate: float = 3e-3
) -> Model:
    """Both phases in half of the budget each."""
    flow, steps = m_flow(
        tensor(x),
        rank,
        seed=seed,
        budget=budget,
        learning_rate=learning_rate,
        density_rate=density_rate,
        **outer_size(x.shape[1]),
    )
    return injective_model(flow, steps, seed)


RIVAL = Rival(
    fit,
    "Brehmer and Cranmer, NeurIPS 2020",
    tried={"learning_rate": (3e-4, 1e-3, 3e-3, 1e-2, 2e-2), "density_rate": (1e-2, 1e-3, 3e-3, 3e-2)},
)
