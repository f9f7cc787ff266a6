"""The estimator where scikit-learn is not installed: it fits, has settings, and says what it cannot do."""

import subprocess
import sys

import pytest

from nflows_spread.estimator import Recipe
from nflows_spread.estimator.without_sklearn import EstimatorWithoutSklearn
from support import refused

HIDDEN = """
import sys
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.startswith("sklearn") else found(name, *rest)
sys.modules["sklearn"] = None
"""


class Fitted(EstimatorWithoutSklearn):
    def __init__(self, *, seed=None, steps=3):
        self.seed, self.steps = seed, steps

    def fit(self, x, y=None):
        self.mean_ = sum(x)
        return self

    def transform(self, x):
        return [each - self.mean_ for each in x]


def test_settings_are_read_changed_and_shown():
    estimator = Fitted(seed=4)
    assert estimator.get_params() == {"seed": 4, "steps": 3}
    assert estimator.set_params(steps=5) is estimator
    assert repr(estimator) == "Fitted(seed=4, steps=5)"


def test_a_setting_of_an_unknown_name_is_refused_and_changes_none():
    estimator = Fitted()
    with refused(ValueError, "settings must be of seed, steps, got sead"):
        estimator.set_params(steps=1, sead=2)
    assert estimator.steps == 3


def test_fit_transform_is_both():
    assert Fitted().fit_transform([1, 2]) == [-2, -1]


def test_frames_need_scikit_learn():
    with refused(ImportError, "set_output needs scikit-learn, got transform='pandas'", "nflows-spread[sklearn]"):
        Fitted().set_output(transform="pandas")


def test_the_estimator_works_in_a_process_without_it():
    code = f"""{HIDDEN}
import numpy
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
x = numpy.random.default_rng(0).normal(size=(60, 3))
estimator = SpreadFlowEstimator(random_state=0, recipe={Recipe(steps=5, layers=2, hidden_features=8, bins=4)!r})
print(estimator.fit_transform(x).shape, estimator.get_params()["random_state"])
try:
    SpreadFlowEstimator().sample()
except ValueError as error:
    print(error)
assert not [name for name, module in sys.modules.items() if name.startswith("sklearn.") and module is not None]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] in ("(60, 3) 0", "(60, 2) 0")
    assert "the estimator must be fitted first" in done.stdout


@pytest.mark.parametrize("deep", [True, False])
def test_settings_are_no_estimators(deep):
    assert Fitted().get_params(deep) == {"seed": None, "steps": 3}
