"""The estimator's settings by scikit-learn's interface: read, changed, cloned, and used in a pipeline."""

import numpy as np
import pytest

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

SHORT = Recipe(steps=5, layers=2, hidden_features=8, bins=4)


def test_settings_are_read_changed_and_shown():
    estimator = SpreadFlowEstimator(random_state=3)
    assert estimator.get_params() == {
        "random_state": 3,
        "recipe": None,
        "max_minutes": None,
        "progress": False,
        "standardize": False,
        "n_components": None,
    }
    assert estimator.set_params(standardize=True, random_state=4) is estimator
    assert repr(estimator) == "SpreadFlowEstimator(random_state=4, standardize=True)"


def test_a_setting_of_an_unknown_name_is_refused_and_changes_none():
    estimator = SpreadFlowEstimator(random_state=3)
    with refused(ValueError, "settings must be of random_state, recipe", "got seed"):
        estimator.set_params(random_state=4, seed=5)
    assert estimator.random_state == 3


def test_scikit_learn_clones_it():
    base = pytest.importorskip("sklearn.base")
    estimator = SpreadFlowEstimator(random_state=3, recipe=SHORT)
    counterpart = base.clone(estimator)
    assert counterpart is not estimator
    assert counterpart.get_params() == estimator.get_params()


def test_it_is_the_last_step_of_a_pipeline():
    pipeline, preprocessing = pytest.importorskip("sklearn.pipeline"), pytest.importorskip("sklearn.preprocessing")
    x = np.random.default_rng(0).normal(size=(80, 3)) * [1.0, 10.0, 100.0]
    steps = pipeline.make_pipeline(preprocessing.StandardScaler(), SpreadFlowEstimator(random_state=0, recipe=SHORT))
    expected = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit((x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(steps.fit(x).transform(x), expected.transform((x - x.mean(0)) / x.std(0)), rtol=1e-4)
    assert steps.set_params(spreadflowestimator__random_state=1)[-1].random_state == 1


def test_the_score_is_the_mean_log_density_and_serves_cross_validation():
    x = np.random.default_rng(0).normal(size=(200, 3))
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x[:100])
    assert estimator.score(x[100:]) == pytest.approx(estimator.score_samples(x[100:]).mean())
    selection = pytest.importorskip("sklearn.model_selection")
    scores = selection.cross_val_score(SpreadFlowEstimator(random_state=0, recipe=SHORT), x, cv=2)
    assert scores[0] == pytest.approx(SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x[100:]).score(x[:100]))
