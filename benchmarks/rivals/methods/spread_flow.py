"""Ours in the benchmark of rivals: the estimator by its defaults, which takes the time that it takes and finds K."""

from __future__ import annotations

import numpy as np

from baselines.budgeted_training import Budget
from charts.data_set import Array
from charts.model import Model
from nflows_spread.estimator import SpreadFlowEstimator
from rivals.rival import Rival, parameters


def fit(x: Array, rank: int, seed: int, budget: Budget) -> Model:
    """Neither K nor the budget is looked at: its time is the budget of the others."""
    fitted = SpreadFlowEstimator(random_state=seed).fit(x)
    return Model(
        int(fitted.intrinsic_dimension_),
        encode=lambda rows: np.asarray(fitted.transform(rows)),
        decode=lambda coordinates: np.asarray(fitted.inverse_transform(coordinates)),
        sample=lambda count: np.asarray(fitted.sample(count)),
        log_prob=lambda rows: np.asarray(fitted.score_samples(rows)),
        manifold_log_prob=lambda rows: np.asarray(fitted.manifold_score_samples(rows)),
        notes={
            "chart": fitted.chart_kind_,
            "parameters": parameters(fitted.flow_, fitted.chart_.flow),
            "local_charts": 0 if fitted.atlas_ is None else len(fitted.atlas_.charts),
            "samples_from": fitted.samples_from_,
        },
    )


RIVAL = Rival(fit, "this package", rank="found")
