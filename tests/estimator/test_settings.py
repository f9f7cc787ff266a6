"""Constructor arguments: what the declared constraints refuse ``fit`` refuses, and what they allow it takes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.settings import checked_settings

param_validation = pytest.importorskip("sklearn.utils._param_validation")

CONSTRAINTS = {
    name: [param_validation.make_constraint(each) for each in constraints]
    for name, constraints in SpreadFlowEstimator._parameter_constraints.items()
}
INVALID = []
for parameter, each in CONSTRAINTS.items():
    INVALID += [(parameter, object())]
    for constraint in each:
        try:
            INVALID.append((parameter, param_validation.generate_invalid_param_val(constraint)))
        except NotImplementedError:  # any other type is none of it, which an object stands for
            continue
VALID = {
    "random_state": [0, 2**64 - 1, np.int64(3), np.random.RandomState(0), None],
    "recipe": [Recipe(steps=2), None],
    "max_minutes": [0.5, 3, None],
    "progress": [True, np.bool_(False)],
    "standardize": [True, np.bool_(False)],
    "device": ["cpu", torch.device("cpu"), None],
    "checkpoints": ["folder", Path("folder"), None],
    "n_components": [1, 5, np.int64(2), None],
}


def checked(name, value):
    seed = {} if name == "random_state" else {"random_state": 0}
    return checked_settings(SpreadFlowEstimator(**seed, **{name: value}), torch.zeros(10, 5))


def test_every_setting_has_constraints():
    assert set(CONSTRAINTS) == set(SpreadFlowEstimator().get_params()) == set(VALID)


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_what_the_constraints_refuse_is_refused(name, value):
    assert not any(constraint.is_satisfied_by(value) for constraint in CONSTRAINTS[name])
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be .*got "):
        checked(name, value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALID.items() for value in values])
def test_what_the_constraints_allow_is_taken(name, value):
    assert any(constraint.is_satisfied_by(value) for constraint in CONSTRAINTS[name])
    checked(name, value)


def test_seeds_are_those_of_the_state():
    state = np.random.RandomState(7)
    drawn = int(np.random.RandomState(7).randint(2**31 - 1))
    assert checked("random_state", state).generator.initial_seed() == drawn
    assert checked("random_state", 5).generator.initial_seed() == 5
    assert (
        checked("random_state", None).generator.initial_seed() != checked("random_state", None).generator.initial_seed()
    )
