"""The estimator with recipes at their ends."""

import numpy as np
import pytest

from nflows_spread.estimator import Recipe, SpreadFlowEstimator

ROWS = 400


def arc(rows=ROWS, seed=0):
    """A circle's arc in three dimensions, far from the origin and large."""
    t = np.random.default_rng(seed).uniform(0.0, 3.0, rows)
    return 100.0 + 20.0 * np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


@pytest.mark.parametrize("numbers", [{"steps": 1}, {"anneal_fraction": 1.0}, {"anneal_fraction": 0.5}])
def test_the_ends_of_a_recipe_work(numbers):
    recipe = Recipe(**{"steps": 20, "layers": 2, "hidden_features": 8, "bins": 4, **numbers})
    estimator = SpreadFlowEstimator(random_state=np.int64(1), recipe=recipe).fit(arc())
    assert estimator.intrinsic_dimension_ == 1
    assert estimator.data_noise_ < recipe.last_noise * estimator.scale_  # down to the distance between neighbours
