"""The estimator's recipe: its rules of size, its numbers at their ends, and under their old names."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from nflows_spread.estimator import SpreadFlowEstimator
from nflows_spread.estimator.recipe import Recipe, couplings_for, factor_for, width_for
from nflows_spread.factors import LowerTriangularFactor, SpreadCholeskyFactor
from support import refused

OLD_NAMES = {
    "annealed": ("anneal_fraction", 0.5),
    "first_look": ("first_check", 7),
    "look_every": ("check_every", 8),
    "looks": ("patience", 9),
    "least_noise": ("min_noise", 0.002),
    "held_out": ("validation_fraction", 0.3),
}
every_old_name = pytest.mark.parametrize(
    ("old", "now", "value"), [(k, *v) for k, v in OLD_NAMES.items()], ids=OLD_NAMES
)


def test_nets_are_as_wide_as_a_28th_of_the_rows_to_the_nearest_multiple_of_eight():
    for rows in (*range(50, 5000, 37), 10**6):
        width = width_for(rows)
        assert width % 8 == 0
        assert 16 <= width <= 128
        assert abs(width - min(128.0, max(16.0, rows / 28))) <= 4.0


def test_few_features_take_more_couplings():
    expected = {1: 18, 2: 12, 3: 10, 4: 9, 6: 8, 7: 8, 9: 7, 12: 7, 23: 7, 25: 6, 1000: 6}
    assert {features: couplings_for(features) for features in expected} == expected


def test_the_factor_follows_from_the_number_of_features():
    assert [factor_for(features) for features in (2, 512)] == [LowerTriangularFactor] * 2
    assert [factor_for(features) for features in (513, 3072)] == [SpreadCholeskyFactor] * 2


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"steps": 2.5}, TypeError, "steps must be an integer, got 2.5"),
        ({"hidden_features": 0}, ValueError, "hidden_features must be at least 1, got 0"),
        ({"check_every": 0}, ValueError, "check_every must be at least 1, got 0"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be a finite number above 0"),
        ({"anneal_fraction": 1.5}, ValueError, "anneal_fraction must be above 0 and at most 1, got 1.5"),
        ({"chart_steps": 0}, ValueError, "chart_steps must be at least 1, got 0"),
        ({"chart_width": 1.5}, TypeError, "chart_width must be an integer, got 1.5"),
        ({"chart_rate": 0.0}, ValueError, "chart_rate must be a finite number above 0"),
        ({"geodesic_fraction": 0.0}, ValueError, "geodesic_fraction must be above 0 and at most 1, got 0.0"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be below 1"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(numbers, error, message):
    with refused(error, message):
        Recipe(**numbers)


ARC_ANGLES = np.random.default_rng(0).uniform(0.0, 3.0, 400)
ARC = 100.0 + 20.0 * np.stack([np.cos(ARC_ANGLES), np.sin(ARC_ANGLES), 0.3 * ARC_ANGLES], axis=1)
"""A circle's arc in three dimensions, far from the origin and large."""


@pytest.mark.parametrize("numbers", [{"steps": 1}, {"anneal_fraction": 1.0}, {"anneal_fraction": 0.5}])
def test_the_ends_of_a_recipe_work(numbers):
    recipe = Recipe(**{"steps": 20, "layers": 2, "hidden_features": 8, "bins": 4, **numbers})
    estimator = SpreadFlowEstimator(random_state=np.int64(1), recipe=recipe).fit(ARC)
    assert estimator.intrinsic_dimension_ == 1
    assert estimator.data_noise_ < recipe.last_noise * estimator.scale_  # down to the distance between neighbours


@every_old_name
def test_a_number_is_set_and_read_under_its_old_name(old, now, value):
    with pytest.warns(DeprecationWarning, match=f"{old} of Recipe is now called {now}"):
        recipe = Recipe(**{old: value})
    assert recipe == Recipe(**{now: value})
    with pytest.warns(DeprecationWarning, match=rf"Recipe\.{old} is now called {now}"):
        assert getattr(recipe, old) == value
    assert old not in repr(recipe)


@every_old_name
def test_a_number_is_replaced_under_its_old_name(old, now, value):
    recipe = Recipe(steps=70)
    with pytest.warns(DeprecationWarning, match=f"{old} of Recipe is now called {now}"):
        assert replace(recipe, **{old: value}) == replace(recipe, **{now: value})


@every_old_name
def test_a_number_under_both_names_is_refused(old, now, value):
    with pytest.raises(TypeError, match=f"takes {now} once, got it as {old} too"):
        Recipe(**{old: value, now: value})


def test_a_chart_takes_twice_the_steps_unless_told_otherwise():
    assert [Recipe(steps=steps).steps_of_chart for steps in (1, 60, 500)] == [2, 120, 1000]
    assert Recipe(steps=60, chart_steps=7).steps_of_chart == 7


def test_recipes_from_before_there_were_charts_have_the_default_ones():
    old = Recipe.__new__(Recipe)
    old.__setstate__(
        {name: value for name, value in vars(Recipe()).items() if "chart" not in name and "geo" not in name}
    )
    assert (old.steps_of_chart, old.chart_width, old.geodesic_fraction) == (1000, 128, 0.6)


def test_recipes_are_pickled_and_those_of_older_versions_read(recwarn):
    recipe = Recipe(**dict(OLD_NAMES.values()), layers=3)
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    old = Recipe()
    state = {
        next((k for k, (now, _) in OLD_NAMES.items() if now == name), name): value
        for name, value in vars(recipe).items()
    }
    assert set(OLD_NAMES) <= set(state)
    old.__setstate__(state)
    assert old == recipe
    assert vars(old) == vars(recipe)
    assert not recwarn.list
