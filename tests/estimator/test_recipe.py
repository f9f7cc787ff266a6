"""The recipe's rules of size, and how the noise and the learning rate move while it trains."""

import pytest
import torch

from nflows_spread import recipe
from nflows_spread.recipe import Recipe, couplings_for, trained_by, width_for

SMALL = Recipe(steps=100, layers=2, hidden_features=8, bins=4, first_look=20, look_every=10)


def test_nets_are_as_wide_as_a_28th_of_the_rows_to_the_nearest_multiple_of_eight():
    for rows in range(50, 5000, 37):
        width = width_for(rows)
        assert width % 8 == 0
        assert 16 <= width <= 128
        assert abs(width - min(128.0, max(16.0, rows / 28))) <= 4.0


def test_few_features_take_more_couplings():
    expected = {1: 18, 2: 12, 3: 10, 4: 9, 6: 8, 7: 8, 9: 7, 12: 7, 23: 7, 25: 6, 1000: 6}
    assert {features: couplings_for(features) for features in expected} == expected


class Watch:
    """Ends the annealing at its n-th look."""

    def __init__(self, stop_at, thickness=0.0):
        self.stop_at, self.thickness, self.looks = stop_at, thickness, 0

    def __call__(self, objective):
        self.looks += 1
        return self.looks == self.stop_at


@pytest.fixture
def train(monkeypatch):
    """Trains by the recipe and tells the learning rate and σ_x after every step."""
    fit, seen = recipe.fit, []

    def observed(*args, callbacks, **options):
        def record(state):
            seen.append((state.learning_rate, state.data_noise))

        return fit(*args, callbacks=[record, *callbacks], **options)

    def train(watch=None, nearest=0.1):
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
        trained_by(SMALL, x, nearest=nearest, generator=torch.Generator().manual_seed(0), watch=watch)
        return map(list, zip(*seen))

    monkeypatch.setattr(recipe, "fit", observed)
    return train


def test_the_learning_rate_falls_along_a_straight_line_to_an_eleventh(train):
    rates, _ = train()
    assert rates == pytest.approx([SMALL.learning_rate * (1.0 - step / 110) for step in range(1, 101)])


def test_where_the_annealing_ends_early_the_learning_rate_still_falls_to_an_eleventh(train):
    rates, _ = train(Watch(stop_at=2))  # at step 30, of the 80 of the annealing
    assert len(rates) == 30 + 20
    assert rates[29] == pytest.approx(SMALL.learning_rate * (1.0 - 30 / 110))
    assert rates[-1] == pytest.approx(SMALL.learning_rate / 11)
    falls = torch.tensor(rates[29:]).diff()
    torch.testing.assert_close(falls, falls.mean().expand(20), rtol=1e-3, atol=0.0)


def test_the_noise_falls_by_a_constant_ratio_until_the_settling(train):
    _, noises = train()
    ratio = SMALL.last_noise / SMALL.first_noise
    expected = [SMALL.first_noise * ratio ** (step / 80) for step in range(1, 81)] + [SMALL.last_noise] * 20
    assert noises == pytest.approx(expected)


def test_the_settling_takes_the_noise_to_its_end_in_its_first_half(train):
    _, noises = train(Watch(stop_at=2))
    begin = SMALL.first_noise * (SMALL.last_noise / SMALL.first_noise) ** (30 / 80)
    expected = [begin * (SMALL.last_noise / begin) ** (step / 10) for step in range(1, 11)]
    assert noises[30:] == pytest.approx(expected + [SMALL.last_noise] * 10)


@pytest.mark.parametrize(("nearest", "end"), [(0.1, 0.01), (0.006, 0.006), (1e-5, 0.003)])
def test_the_noise_ends_at_the_nearest_neighbours_between_its_bounds(train, nearest, end):
    _, noises = train(nearest=nearest)
    assert noises[-1] == pytest.approx(end)


def test_the_noise_ends_at_a_third_of_that_of_the_data(train):
    _, noises = train(Watch(stop_at=2, thickness=0.15))
    assert noises[-1] == pytest.approx(0.05)


def test_the_noise_never_rises(train):
    _, noises = train(Watch(stop_at=None, thickness=30.0))
    assert noises[-1] == pytest.approx(SMALL.last_noise)
    assert noises == sorted(noises, reverse=True)
