"""Ambient noise in the data: how much of it a spectrum and the neighbours show."""

import math

import pytest
import torch

from nflows_spread import Spectrum
from nflows_spread.dimension import NeighbourDimension
from nflows_spread.dimension.ambient_noise import ambient_noise_of, matters_to_neighbours, plateau

NOISE = 0.01


def spectrum(signal, noise=NOISE):
    """The spectrum of data with these variances, under data noise."""
    values = torch.tensor(signal, dtype=torch.float64) + noise**2
    return Spectrum(values, values, 1e-6, noise)


def above_noise(nats):
    """The spectrum whose μ lie so many nats above σ_x²."""
    values = NOISE**2 * torch.tensor(nats, dtype=torch.float64).exp()
    return Spectrum(values, values, 1e-6, NOISE)


def neighbours(falling=1.0, ambient_noise=0.0, nearest=0.1):
    """What distances say where the dimension falls from 2 by this factor between the 3rd and the 40th neighbour."""
    profile = dict.fromkeys(("normal", "cube", "sphere"), (2.0, 2.0 * falling))
    return NeighbourDimension(2.0, 0.1, 0.1, nearest, (3, 40), profile, ambient_noise)


def test_the_plateau_of_isotropic_noise_is_found():
    t = 0.05
    signal = [1.0 + t**2, 0.5 + t**2, *[t**2] * 10]
    assert plateau(spectrum(signal)) == pytest.approx(t, rel=1e-9)


@pytest.mark.parametrize(
    "signal",
    [
        [1.0, 0.5, 0.0, 0.0],  # clean
        [1.0, 0.8, 0.7, 0.6],  # of full dimension
        [30.0, 0.8, 0.7, 0.6],  # of full dimension, long in one direction
        [1.0, 0.5, 0.1],  # a closed surface: nearer to its other directions than to the noise
        [1.0, *[0.3 * 0.75**k for k in range(20)]],  # curved: it falls off and has no plateau
        [1.0, 0.5, 1e-4, 1e-4],  # noise that cannot be told from σ_x
    ],
)
def test_where_there_is_no_plateau_no_noise_is_found(signal):
    assert plateau(spectrum(signal)) == 0.0


def test_without_data_noise_nothing_is_known_of_the_floor():
    assert plateau(spectrum([1.0, 1e-3], noise=0.0)) == 0.0


@pytest.mark.parametrize(("width", "found"), [(2.8, True), (3.2, False)])
def test_a_plateau_is_at_most_three_nats_wide(width, found):
    flat = [4.0 + width * (0.5 - k / 20) for k in range(21)]
    assert plateau(above_noise([12.0, 11.5, *flat])) == (
        pytest.approx(NOISE * math.sqrt(math.expm1(4.0))) if found else 0
    )


@pytest.mark.parametrize(("factor", "found"), [(4.2, True), (3.8, False)])
def test_a_plateau_is_clearly_above_the_noise_of_the_training(factor, found):
    ambient_noise = plateau(above_noise([9.0, 8.5, *[math.log(factor)] * 5]))
    assert ambient_noise == (pytest.approx(NOISE * math.sqrt(factor - 1.0)) if found else 0.0)


@pytest.mark.parametrize(
    ("above", "found"),
    [((7.1, 5.1), True), ((6.9, 4.9), False), ((9.1, 5.1, 4.8, 4.8), False)],  # 3.1, 2.9 and 2.95 above a plateau at 3
)
def test_a_plateau_is_nearer_to_the_noise_than_to_the_mean_of_what_is_above_it(above, found):
    assert (plateau(above_noise([*above, *[3.0] * 6])) > 0.0) == found


def test_the_lowest_of_several_steps_is_that_down_to_the_plateau():
    ambient_noise = plateau(above_noise([15.0, 11.0, 10.8, 2.0, 2.0, 2.0, 2.0]))
    assert ambient_noise == pytest.approx(NOISE * math.sqrt(math.expm1(2.0)))


def slope_with_a_step(step, gap=0.15):
    """20 μ that fall off slowly, a step, and a plateau of 12 that ends 1.5 nats above σ_x²: 30 of 31 gaps are alike."""
    lowest = [1.5 + gap * k for k in range(12)][::-1]
    return above_noise([lowest[0] + step + gap * k for k in range(20)][::-1] + lowest)


def with_surprise(nats, gap=0.15):
    """How wide one of 31 gaps is by which chance would surprise so much: (1 + g/S)⁻³⁰ · 31 = exp(−nats)."""
    return 30 * gap * math.expm1((nats + math.log(31)) / 30)


def test_a_plateau_of_one_value_may_stand_out_too():
    slope = [2.3 + 0.1 * k for k in range(30)][::-1]
    assert plateau(above_noise([*slope, 1.5])) == pytest.approx(NOISE * math.sqrt(math.expm1(1.5)))


@pytest.mark.parametrize(
    ("step", "gap", "found"),
    [
        (with_surprise(2.2), 0.15, True),  # 0.93 nats
        (with_surprise(1.8), 0.15, False),  # 0.86 nats, but not surprising enough
        (0.72, 0.1, True),  # surprising, and half as wide as a clear gap
        (0.66, 0.1, False),  # surprising, but too narrow
    ],
)
def test_a_plateau_is_found_below_a_gap_that_stands_out_without_being_wide(step, gap, found):
    spectrum = slope_with_a_step(step, gap)
    level = float(spectrum.signal_to_noise[20:].log().mean().exp())
    assert plateau(spectrum) == (pytest.approx(math.sqrt(level - NOISE**2)) if found else 0.0)


def test_wide_gaps_do_not_hide_one_that_stands_out_among_the_others():
    """Seven gaps of 3 nats, of one of 1.2 among eleven of 0.03: with the wide ones in the sum it would be common."""
    plateau_of_noise = [2.3 + 0.03 * k for k in range(12)][::-1]
    steep = [plateau_of_noise[0] + 1.2 + 3.0 * k for k in range(8)][::-1]
    found = plateau(above_noise([*steep, *plateau_of_noise]))
    level = sum(plateau_of_noise) / 12
    assert found == pytest.approx(NOISE * math.sqrt(math.expm1(level)), rel=0.01)


NOISY = [1.0025, 0.5025, *[0.0025] * 10]
PIECES = [4.0, 0.5, *[0.5 * 0.7**k for k in range(1, 12)]]  # a long direction, and a slope without a plateau


def test_noise_makes_the_dimension_of_neighbours_fall_and_a_curvature_does_not():
    assert ambient_noise_of(spectrum(NOISY), neighbours(0.8, ambient_noise=0.03)) == pytest.approx(0.05, rel=1e-9)
    assert ambient_noise_of(spectrum(NOISY), neighbours(0.99, ambient_noise=0.01)) == 0.0


def test_neighbours_far_apart_need_not_show_the_noise():
    assert ambient_noise_of(spectrum(NOISY), neighbours(falling=1.1, nearest=5.0)) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize(("ambient_noise", "expected"), [(0.0164, 0.0), (0.0170, 0.05)])
def test_a_plateau_is_a_curvature_where_noise_of_a_third_of_it_explains_the_neighbours(ambient_noise, expected):
    assert ambient_noise_of(spectrum(NOISY), neighbours(0.9, ambient_noise=ambient_noise)) == pytest.approx(
        expected, rel=1e-9
    )


@pytest.mark.parametrize("nearest", [0.5, 2.0])
def test_noise_matters_where_it_adds_a_tenth_to_the_square_of_the_nearest_distance(nearest):
    """Of two points with noise of standard deviation t in D features, 2 D t² is added to the squared distance."""
    limit = nearest * math.sqrt(0.1 / (2.0 * 5))
    assert matters_to_neighbours(neighbours(nearest=nearest), 1.02 * limit, 5)
    assert not matters_to_neighbours(neighbours(nearest=nearest), 0.98 * limit, 5)


def test_without_a_plateau_the_noise_is_what_explains_the_fall():
    assert plateau(spectrum(PIECES)) == 0.0
    assert ambient_noise_of(spectrum(PIECES), neighbours(falling=0.6, ambient_noise=0.04)) == 0.04


@pytest.mark.parametrize(("falling", "expected"), [(0.86, 0.04), (0.88, 0.0)])
def test_a_fall_by_an_eighth_is_one_that_noise_makes(falling, expected):
    assert ambient_noise_of(spectrum(PIECES), neighbours(falling, ambient_noise=0.04)) == expected


@pytest.mark.parametrize("noise", [NOISE, 0.1])
def test_noise_of_more_than_twice_what_the_flattest_direction_shows_explains_no_fall(noise):
    most = 2.0 * math.sqrt(PIECES[-1])  # the variance that σ_x adds there is not the data's
    assert plateau(spectrum(PIECES, noise)) == 0.0
    assert ambient_noise_of(spectrum(PIECES, noise), neighbours(0.6, ambient_noise=0.97 * most)) == 0.97 * most
    assert ambient_noise_of(spectrum(PIECES, noise), neighbours(0.6, ambient_noise=1.03 * most)) == 0.0


@pytest.mark.parametrize(
    ("signal", "falling", "ambient_noise"),
    [
        (PIECES, 0.95, 0.04),  # a fall that a density may well make
        ([*PIECES, 0.0], 0.6, 0.04),  # isotropic noise leaves no direction without it
        ([0.9**k for k in range(6)], 0.6, 0.04),  # no gap: data of full dimension
    ],
)
def test_a_fall_that_noise_does_not_explain_is_none(signal, falling, ambient_noise):
    assert ambient_noise_of(spectrum(signal), neighbours(falling, ambient_noise)) == 0.0
