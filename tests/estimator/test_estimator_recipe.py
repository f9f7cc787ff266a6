"""How large the estimator's flow is, and recipes at their ends and beyond."""

import numpy as np
import pytest
import torch

from nflows_spread.estimator import SpreadFlowEstimator
from nflows_spread.factors import LowerTriangularFactor, SpreadCholeskyFactor
from nflows_spread.recipe import Recipe, couplings_for, factor_for, trained_by, width_for
from support import refused

ROWS = 400


def arc(rows=ROWS, seed=0):
    """A circle's arc in three dimensions, far from the origin and large."""
    t = np.random.default_rng(seed).uniform(0.0, 3.0, rows)
    return 100.0 + 20.0 * np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def test_the_size_of_the_flow_follows_from_the_data():
    assert [width_for(rows) for rows in (50, 450, 1800, 9000, 10**6)] == [16, 16, 64, 128, 128]
    assert [couplings_for(features) for features in (2, 3, 5, 12, 100)] == [12, 10, 8, 7, 6]
    assert [factor_for(features) for features in (2, 512)] == [LowerTriangularFactor] * 2
    assert [factor_for(features) for features in (513, 3072)] == [SpreadCholeskyFactor] * 2


@pytest.mark.parametrize(("features", "kind"), [(100, LowerTriangularFactor), (513, SpreadCholeskyFactor)])
def test_wide_data_is_fitted_with_the_factor_that_needs_no_decomposition(features, kind, generator):
    x = torch.randn(60, features, generator=generator)
    objective = trained_by(Recipe(steps=2, layers=2), x, nearest=0.1, generator=generator)
    assert type(objective.base.factor) is kind


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 2.5}, TypeError, "steps must be an integer, got 2.5"),
        ({"hidden_features": 0}, ValueError, "hidden_features must be at least 1, got 0"),
        ({"look_every": 0}, ValueError, "look_every must be at least 1, got 0"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be a finite number above 0"),
        ({"annealed": 1.5}, ValueError, "annealed must be above 0 and at most 1, got 1.5"),
        ({"held_out": 1.0}, ValueError, "held_out must be below 1"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(numbers, error, message):
    with refused(error, message):
        Recipe(**numbers)


@pytest.mark.parametrize("numbers", [{"steps": 1}, {"annealed": 1.0}, {"annealed": 0.5}])
def test_the_ends_of_a_recipe_work(numbers):
    recipe = Recipe(**{"steps": 20, "layers": 2, "hidden_features": 8, "bins": 4, **numbers})
    estimator = SpreadFlowEstimator(random_state=np.int64(1), recipe=recipe).fit(arc())
    assert estimator.intrinsic_dimension_ == 1
    assert estimator.data_noise_ < recipe.last_noise * estimator.scale_  # down to the distance between neighbours
