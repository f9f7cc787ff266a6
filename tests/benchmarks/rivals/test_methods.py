"""Each rival in the benchmark: what it offers after a few steps, the K it is given, and how many numbers it has."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from baselines.budgeted_training import Budget
from charts.data_set import split
from rivals.data_sets import DATA_SETS
from rivals.methods import AT_EQUAL_TIME, LONGER, METHODS, OURS

pytest.importorskip("sklearn")
X = split(DATA_SETS["S-curve"].data, 0).train[:150]


@pytest.mark.parametrize("name", [name for name in AT_EQUAL_TIME if name != OURS])
def test_a_rival_has_coordinates_points_samples_and_a_density_and_a_seed_decides_them(name: str):
    model, again = (AT_EQUAL_TIME[name].fit(X, 2, 0, Budget(steps=4)) for _ in range(2))
    assert model.rank == 2
    coordinates = model.encode(X[:7])
    assert coordinates.shape == (7, 2)
    assert model.decode(coordinates).shape == (7, 3)
    samples = model.sample(5)
    assert samples.shape == (5, 3)
    assert np.isfinite(model.manifold_log_prob(X[:7])).all()
    np.testing.assert_array_equal(samples, again.sample(5))
    np.testing.assert_array_equal(coordinates, again.encode(X[:7]))
    assert model.notes["parameters"] > 0


@pytest.mark.parametrize("name", [name for name, rival in AT_EQUAL_TIME.items() if rival.tried])
def test_rivals_that_are_trained_are_of_the_spread_flow_s_size_and_their_settings_are_those_that_were_tried(name: str):
    rival = AT_EQUAL_TIME[name]
    steps = rival.fit(X, 2, 0, Budget(steps=4)).notes["steps"]
    assert steps == 4
    assert 60_000 < rival.fit(X, 2, 0, Budget(steps=1)).notes["parameters"] < 125_000  # beside 104 000
    defaults = {one: given.default for one, given in inspect.signature(rival.fit).parameters.items()}
    for setting, values in rival.tried.items():
        assert defaults[setting] in values


def test_longer_trainings_are_of_the_same_systems_and_only_ours_finds_the_dimension():
    assert {name.partition(",")[0] for name in LONGER} == {name for name, rival in AT_EQUAL_TIME.items() if rival.tried}
    assert all(rival.times == 8.0 for rival in LONGER.values())
    assert [name for name, rival in METHODS.items() if not rival.is_given_rank] == [OURS]
