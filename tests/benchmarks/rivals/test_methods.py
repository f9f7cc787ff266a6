"""Each rival in the benchmark: what it offers after a few steps, the K it is given, and how many numbers it has."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from baselines.budgeted_training import Budget
from charts.data_set import split
from charts.model import NoAnswerError
from rivals.data_sets import DATA_SETS
from rivals.methods import AT_EQUAL_TIME, LONGER, METHODS, OURS

pytest.importorskip("sklearn")
X = split(DATA_SETS["S-curve"].data, 0).train[:150]


WITHOUT_DENSITY, INDEXED = "two-stage VAE", "continuously indexed flow"
"""What has no density on the manifold, and what has no coordinates."""
LABELLED = "GIN"
LABELS = (X[:, 0] > 0.0).astype(np.int64)


def fitted(name: str, budget: Budget):
    return AT_EQUAL_TIME[name].fit(X, 2, 0, budget, **({"labels": LABELS} if name == LABELLED else {}))


@pytest.mark.parametrize("name", [name for name in AT_EQUAL_TIME if name not in (OURS, INDEXED)])
def test_a_rival_has_coordinates_points_samples_and_a_density_and_a_seed_decides_them(name: str):
    model, again = (fitted(name, Budget(steps=4)) for _ in range(2))
    assert model.rank == 2
    coordinates = model.encode(X[:7])
    assert coordinates.shape == (7, 2)
    assert model.decode(coordinates).shape == (7, 3)
    samples = model.sample(5)
    assert samples.shape == (5, 3)
    if name in (WITHOUT_DENSITY, LABELLED):
        assert model.manifold_log_prob is None
    else:
        assert np.isfinite(model.manifold_log_prob(X[:7])).all()
    np.testing.assert_array_equal(samples, again.sample(5))
    np.testing.assert_array_equal(coordinates, again.encode(X[:7]))
    assert model.notes["parameters"] > 0


def test_a_continuously_indexed_flow_has_samples_and_a_density_of_all_dimensions_alone():
    model, again = (AT_EQUAL_TIME[INDEXED].fit(X, 2, 0, Budget(steps=4)) for _ in range(2))
    assert (model.rank, model.encode, model.decode, model.manifold_log_prob) == (3, None, None, None)
    assert np.isfinite(model.log_prob(X[:7])).all()
    np.testing.assert_array_equal(model.log_prob(X[:7]), model.log_prob(X[:7]))
    np.testing.assert_array_equal(model.sample(5), again.sample(5))


def test_a_two_stage_vae_finds_the_dimension_of_a_plane_and_reconstructs_by_the_latents_that_are_active():
    random = np.random.default_rng(0)
    plane = random.normal(size=(400, 2)) @ np.linalg.qr(random.normal(size=(4, 2)))[0].T * np.sqrt(2.0)
    model = AT_EQUAL_TIME[WITHOUT_DENSITY].fit(plane, 2, 0, Budget(steps=800))
    assert (model.notes["active"], model.notes["latents"]) == (2, 4)
    assert np.square(model.decode(model.encode(plane)) - plane).mean() < 0.01 * plane.var()


def test_gin_keeps_the_latents_of_largest_variance_and_has_a_density_of_all_dimensions():
    x = np.random.default_rng(0).normal(size=(200, 4)) * [0.1, 2.0, 0.01, 1.0]
    labels = (x[:, 1] > 0.0).astype(np.int64)
    model = AT_EQUAL_TIME[LABELLED].fit(x, 2, 0, Budget(steps=1), labels=labels)
    lost = model.decode(model.encode(x)) - x
    assert np.abs(lost[:, [1, 3]]).max() < 0.2
    np.testing.assert_allclose(lost.std(axis=0)[[0, 2]], x.std(axis=0)[[0, 2]], rtol=0.3)  # after one step
    assert np.isfinite(model.log_prob(x)).all()


def test_who_learns_from_labels_has_no_answer_without():
    labelled, unlabelled = (split(DATA_SETS[name].data, 0) for name in ("iris, standardized", "S-curve"))
    assert [name for name, rival in AT_EQUAL_TIME.items() if rival.labelled] == [LABELLED]
    assert AT_EQUAL_TIME[OURS].given(labelled) == {}
    np.testing.assert_array_equal(AT_EQUAL_TIME[LABELLED].given(labelled)["labels"], labelled.labels)
    with pytest.raises(NoAnswerError, match="labels"):
        AT_EQUAL_TIME[LABELLED].given(unlabelled)


@pytest.mark.parametrize("name", [name for name, rival in AT_EQUAL_TIME.items() if rival.tried])
def test_rivals_that_are_trained_are_of_the_spread_flow_s_size_and_their_settings_are_those_that_were_tried(name: str):
    rival = AT_EQUAL_TIME[name]
    assert fitted(name, Budget(steps=4)).notes["steps"] == 4
    assert 60_000 < fitted(name, Budget(steps=1)).notes["parameters"] < 125_000  # beside 104 000
    defaults = {one: given.default for one, given in inspect.signature(rival.fit).parameters.items()}
    for setting, values in rival.tried.items():
        assert defaults[setting] in values


def test_longer_trainings_are_of_the_same_systems_and_who_is_told_the_dimension():
    assert {name.partition(",")[0] for name in LONGER} == {name for name, rival in AT_EQUAL_TIME.items() if rival.tried}
    assert all(rival.times == 8.0 for rival in LONGER.values())
    assert [name for name, rival in METHODS.items() if rival.rank == "found"] == [OURS]
    assert {name.partition(",")[0] for name, rival in METHODS.items() if rival.rank == "none"} == {INDEXED}
