"""The estimator refuses what it cannot fit or answer, by name, and changes nothing."""

import math
import sys

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

SHORT = Recipe(steps=15, layers=2, hidden_features=16, bins=8, chart_width=32)
ROWS = 400


def arc(rows=ROWS, seed=0):
    """A circle's arc in three dimensions, far from the origin and large."""
    t = np.random.default_rng(seed).uniform(0.0, 3.0, rows)
    return 100.0 + 20.0 * np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


@pytest.fixture(scope="module")
def fitted():
    return SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc())


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (
            np.zeros((100, 3)),
            ValueError,
            "X must vary, got 100 rows that are the same to the precision of torch.float64",
        ),
        (1e160 * arc(), ValueError, "X must have a variance that float64 can hold, got values of up to 1.2e+162"),
        (np.zeros((5, 3)), ValueError, "X must have at least 6 rows, got n_samples=5 (shape=(5, 3))"),
        (np.eye(5).repeat(20, axis=0), ValueError, "X must have at least 6 distinct rows, got 5 among 100"),
        (np.zeros((100, 1)), ValueError, "X must have at least 2 columns, got 1 feature(s) (shape=(100, 1))"),
        (np.zeros((100, 0)), ValueError, "X must have at least 2 columns, got 0 feature(s) (shape=(100, 0))"),
        (np.zeros(100), ValueError, "X must be a matrix, one row a point, got shape (100,)"),
        (np.zeros((9, 2, 2)), ValueError, "got shape (9, 2, 2). Reshape your data: X.reshape(len(X), -1)"),
        (np.full((100, 3), math.nan), ValueError, "X must be finite, got NaN or infinity in 100 of 100 rows"),
    ],
)
def test_bad_data_is_refused_and_changes_nothing(x, error, message):
    estimator = SpreadFlowEstimator(recipe=SHORT)
    with refused(error, message):
        estimator.fit(x)
    assert not hasattr(estimator, "flow_")


def test_points_of_another_width_are_refused(fitted):
    with refused(ValueError, "X has 2 features, but SpreadFlowEstimator is expecting 3", "pass the columns of fit"):
        fitted.transform(np.zeros((4, 2)))


QUESTIONS = {
    "transform": lambda estimator: estimator.transform(np.zeros((4, 2))),
    "inverse_transform": lambda estimator: estimator.inverse_transform(np.zeros((4, 2))),
    "sample": lambda estimator: estimator.sample(3),
    "score_samples": lambda estimator: estimator.score_samples(np.zeros((4, 2))),
    "pointwise_dimension": lambda estimator: estimator.pointwise_dimension(np.zeros((4, 2))),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_an_estimator_that_is_not_fitted_says_so_as_scikit_learn_does(question):
    exceptions = pytest.importorskip("sklearn.exceptions")
    with refused(exceptions.NotFittedError, "the estimator must be fitted first", "call fit(X)"):
        QUESTIONS[question](SpreadFlowEstimator())


def test_without_scikit_learn_the_error_is_of_the_same_kinds(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.exceptions", None)  # as where it is not installed
    for kind in (ValueError, AttributeError):  # the base classes of scikit-learn's
        with refused(kind, "the estimator must be fitted first"):
            SpreadFlowEstimator().sample()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"random_state": -1}, ValueError, "random_state must be between 0 and 2^64 − 1, got -1"),
        ({"random_state": 0.5}, TypeError, "random_state must be an integer, got 0.5"),
        ({"max_minutes": 0}, ValueError, "max_minutes must be a finite number above 0, got 0"),
        ({"progress": "yes"}, TypeError, "progress must be True or False, got 'yes'"),
        ({"recipe": {"steps": 3}}, TypeError, "recipe must be a Recipe, got dict"),
    ],
)
def test_bad_settings_are_refused(settings, error, message):
    with refused(error, message):
        SpreadFlowEstimator(**settings).fit(arc())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (None, "X must hold real numbers, got dtype object"),
        (arc(5) + 1j, "X must hold real numbers, got dtype complex128"),
        (torch.zeros(5, 3, dtype=torch.complex64), "X must hold real numbers, got torch.complex64"),
        (np.ma.masked_greater(arc(5), 110.0), "X must have no masked entries"),
        (np.full((5, 3), "a"), "X must hold real numbers, got dtype <U1"),
        (np.full((5, 3), "1", dtype=object), "got dtype object, with '1' of type str in row 0; convert"),
        (
            np.full((5, 3), {}),
            "with {} of type dict in row 0 (float() argument must be a string or a real number, not 'dict'); convert",
        ),
        (np.full((5, 3), 1j, dtype=object), "got dtype object, with 1j of type complex in row 0 ("),
    ],
)
def test_what_is_no_matrix_of_real_numbers_is_refused_by_name(fitted, x, message):
    with refused(TypeError, message):
        fitted.transform(x)


def test_coordinates_of_no_dimension_are_refused(fitted):
    with refused(ValueError, "coordinates must have 1 to 1 columns, got 0"):
        fitted.inverse_transform(np.zeros((4, 0)))
