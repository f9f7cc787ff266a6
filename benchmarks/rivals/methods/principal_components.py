"""PCA in the benchmark of rivals, with a Gaussian mixture of the principal components: what a line or a plane does."""

from __future__ import annotations

from dataclasses import replace

from baselines.budgeted_training import Budget
from charts.data_set import Array
from charts.methods import principal_components
from charts.mixture import mixture_by_bic
from charts.model import Model
from rivals.rival import Rival


def fit(x: Array, rank: int, seed: int, budget: Budget) -> Model:
    """The budget is not looked at: it takes less."""
    model = principal_components(x, rank, seed)
    encode = model.encode
    if encode is None:
        raise TypeError("PCA must have coordinates, got none")
    mixture = mixture_by_bic(encode(x), seed)
    return replace(
        model,
        manifold_log_prob=lambda rows: mixture.score_samples(encode(rows)),
        notes={"parameters": rank * x.shape[1] + x.shape[1]},
    )


RIVAL = Rival(fit, "Tipping and Bishop 1999")
