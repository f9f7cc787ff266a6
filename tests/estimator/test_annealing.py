"""How the noise and the learning rate move while the estimator's flow is trained."""

from dataclasses import replace

import pytest
import torch

from nflows_spread.estimator import Recipe, annealing
from nflows_spread.estimator.annealing import trained_by
from nflows_spread.factors import LowerTriangularFactor, SpreadCholeskyFactor

SMALL = Recipe(steps=100, anneal_fraction=0.8, layers=2, hidden_features=8, bins=4, first_check=20, check_every=10)


class StableAt:
    """Finds the dimension stable at its n-th check."""

    def __init__(self, check, ambient_noise=0.0):
        self.check, self.ambient_noise, self.checks = check, ambient_noise, 0

    def __call__(self, objective):
        self.checks += 1
        return self.checks == self.check


@pytest.fixture
def train(monkeypatch):
    """Trains by the recipe and tells the learning rate and σ_x after every step."""
    fit, seen = annealing.fit, []

    def observed(*args, callbacks, **options):
        def record(state):
            seen.append((state.learning_rate, state.data_noise))

        return fit(*args, callbacks=[record, *callbacks], **options)

    def train(stop=None, nearest=0.1, recipe=SMALL):
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        trained_by(recipe, x, nearest=nearest, generator=torch.Generator().manual_seed(0), stop=stop)
        return map(list, zip(*seen))

    monkeypatch.setattr(annealing, "fit", observed)
    return train


def test_the_learning_rate_falls_along_a_straight_line_to_an_eleventh(train):
    rates, _ = train()
    assert rates == pytest.approx([SMALL.learning_rate * (1.0 - step / 110) for step in range(1, 101)])


def test_where_the_annealing_ends_early_the_learning_rate_still_falls_to_an_eleventh(train):
    rates, _ = train(StableAt(check=2))  # at step 30, of the 80 of the annealing
    assert len(rates) == 30 + 20
    assert rates[29] == pytest.approx(SMALL.learning_rate * (1.0 - 30 / 110))
    assert rates[-1] == pytest.approx(SMALL.learning_rate / 11)
    falls = torch.tensor(rates[29:]).diff()
    torch.testing.assert_close(falls, falls.mean().expand(20), rtol=1e-3, atol=0.0)


def test_the_last_step_alone_can_be_the_settling(train):
    rates, noises = train(recipe=replace(SMALL, anneal_fraction=0.99))
    assert len(rates) == 100
    assert rates[-1] == pytest.approx(SMALL.learning_rate / 11)
    assert noises[-1] == pytest.approx(SMALL.last_noise)


def test_the_noise_falls_by_a_constant_ratio_until_the_settling(train):
    _, noises = train()
    ratio = SMALL.last_noise / SMALL.first_noise
    expected = [SMALL.first_noise * ratio ** (step / 80) for step in range(1, 81)] + [SMALL.last_noise] * 20
    assert noises == pytest.approx(expected)


def test_the_settling_takes_the_noise_to_its_end_in_its_first_half(train):
    _, noises = train(StableAt(check=2))
    begin = SMALL.first_noise * (SMALL.last_noise / SMALL.first_noise) ** (30 / 80)
    expected = [begin * (SMALL.last_noise / begin) ** (step / 10) for step in range(1, 11)]
    assert noises[30:] == pytest.approx(expected + [SMALL.last_noise] * 10)


@pytest.mark.parametrize(("nearest", "end"), [(0.1, 0.01), (0.006, 0.006), (1e-5, 0.003)])
def test_the_noise_ends_at_the_nearest_neighbours_between_its_bounds(train, nearest, end):
    _, noises = train(nearest=nearest)
    assert noises[-1] == pytest.approx(end)


def test_the_noise_ends_at_a_third_of_that_of_the_data(train):
    _, noises = train(StableAt(check=2, ambient_noise=0.15))
    assert noises[-1] == pytest.approx(0.05)


def test_the_noise_never_rises(train):
    _, noises = train(StableAt(check=None, ambient_noise=30.0))
    assert noises[-1] == pytest.approx(SMALL.last_noise)
    assert noises == sorted(noises, reverse=True)


@pytest.mark.parametrize(("features", "kind"), [(100, LowerTriangularFactor), (513, SpreadCholeskyFactor)])
def test_wide_data_is_fitted_with_the_factor_that_needs_no_decomposition(features, kind, generator):
    x = torch.randn(60, features, generator=generator)
    objective = trained_by(Recipe(steps=2, layers=2), x, nearest=0.1, generator=generator)
    assert type(objective.base.factor) is kind
