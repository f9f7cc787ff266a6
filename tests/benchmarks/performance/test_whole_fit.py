"""Whole fits beside those of another checkout: who takes turns, and what is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from performance import targets, whole_fit

OURS = Path(whole_fit.__file__).resolve().parents[2]


@pytest.fixture
def beside(tmp_path):
    """A folder that has the package, as far as a look at it tells."""
    (tmp_path / "nflows_spread").mkdir()
    (tmp_path / "nflows_spread" / "__init__.py").touch()
    return tmp_path


@pytest.fixture
def turns(monkeypatch):
    """The checkouts in the order of their fits, of which ours take 1, 2, 3, … s and others twice as long."""
    asked = []

    def fit(checkout, points, small):
        asked.append(checkout)
        assert np.load(points).shape[1] == whole_fit.FEATURES
        seconds = float((1 + (len(asked) - 1) // 2) * (1 if checkout == OURS else 2))
        return {"seconds": seconds, "dimension": 4 if checkout == OURS else 5}

    monkeypatch.setattr(whole_fit, "_fit", fit)
    return asked


def test_checkouts_take_turns_and_ratios_are_those_of_a_round(turns, beside):
    found = whole_fit.compared(whole_fit.SETS["roll"], beside, small=False)
    assert turns == [OURS, beside, beside, OURS, OURS, beside]
    assert found["seconds"] == 2.0
    assert found["seconds of the other checkout"] == 4.0
    assert found["ratio"] == 0.5
    assert (found["dimension"], found["its dimension"]) == (4, 5)
    assert found[whole_fit.WITHIN]


def test_a_ratio_above_the_bound_misses_the_target(turns, beside, monkeypatch):
    monkeypatch.setattr(targets, "FIT_OVER_OTHER", 0.4)
    assert not whole_fit.compared(whole_fit.SETS["roll"], beside, small=False)[whole_fit.WITHIN]


def test_without_another_checkout_a_set_is_fitted_once(turns):
    assert whole_fit.compared(whole_fit.SETS["table"], None, small=False) == {"seconds": 1.0, "dimension": 4}
    assert turns == [OURS]


@pytest.mark.parametrize("draw", whole_fit.SETS.values(), ids=whole_fit.SETS)
def test_sets_are_the_same_each_time_and_of_the_same_size(draw):
    points = draw(60)
    assert points.shape == (60, whole_fit.FEATURES)
    assert np.array_equal(points, draw(60))


def test_a_folder_without_the_package_is_refused_before_any_fit(turns, tmp_path):
    with pytest.raises(ValueError, match="--beside must be a checkout of this package, got"):
        whole_fit.compared(whole_fit.SETS["roll"], tmp_path, small=True)
    assert not turns
