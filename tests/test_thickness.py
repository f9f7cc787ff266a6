"""Noise that the data brought along: how much of it a spectrum shows, and points without it."""

import math

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform

from nflows_spread import Spectrum
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.thickness import denoised, plateau, thickness_of

NOISE = 0.01


def spectrum(signal, noise=NOISE):
    """The spectrum of data with these variances, under data noise."""
    values = torch.tensor(signal, dtype=torch.float64) + noise**2
    return Spectrum(values, values, 1e-6, noise)


def neighbours(falling=1.0, thickness=0.0, nearest=0.1):
    """What distances say where the dimension falls from 2 by this factor between the 3rd and the 40th neighbour."""
    profile = dict.fromkeys(("normal", "cube", "sphere"), (2.0, 2.0 * falling))
    return NeighbourDimension(2.0, 0.1, 0.1, nearest, (3, 40), profile, thickness)


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


def test_a_plateau_is_found_below_a_gap_that_stands_out_without_being_wide():
    t = 0.03
    signal = [1.0 * 0.8**k for k in range(8)] + [t**2 * 2.0 * 0.97**k for k in range(20)]
    signal[7] = 0.006  # the gap below it is 1.1 nats
    assert plateau(spectrum(sorted(signal, reverse=True))) == pytest.approx(t, rel=0.3)


NOISY = [1.0025, 0.5025, *[0.0025] * 10]
PIECES = [4.0, 0.5, *[0.5 * 0.7**k for k in range(1, 12)]]  # a long direction, and a slope without a plateau


def test_noise_makes_the_dimension_of_neighbours_fall_and_a_curvature_does_not():
    assert thickness_of(spectrum(NOISY), neighbours(0.8, thickness=0.03)) == pytest.approx(0.05, rel=1e-9)
    assert thickness_of(spectrum(NOISY), neighbours(0.99, thickness=0.01)) == 0.0


def test_neighbours_far_apart_need_not_feel_the_noise():
    assert thickness_of(spectrum(NOISY), neighbours(falling=1.1, nearest=5.0)) == pytest.approx(0.05, rel=1e-9)


def test_without_a_plateau_the_noise_is_what_explains_the_fall():
    assert plateau(spectrum(PIECES)) == 0.0
    assert thickness_of(spectrum(PIECES), neighbours(falling=0.6, thickness=0.04)) == 0.04


@pytest.mark.parametrize(
    ("signal", "falling", "thickness"),
    [
        (PIECES, 0.95, 0.04),  # a fall that a density may well make
        ([*PIECES, 0.0], 0.6, 0.04),  # isotropic noise leaves no direction without it
        ([0.9**k for k in range(6)], 0.6, 0.04),  # no gap: data of full dimension
    ],
)
def test_a_fall_that_noise_does_not_explain_is_none(signal, falling, thickness):
    assert thickness_of(spectrum(signal), neighbours(falling, thickness)) == 0.0


def test_denoising_takes_away_the_noise_across_a_line():
    # p = N(0, 1) along the line and N(0, s²) across it: the posterior mean is known
    s = 0.1
    flow = Flow(PointwiseAffineTransform(scale=torch.tensor([1.0, 1.0 / s])), StandardNormal([2]))
    x = torch.tensor([[0.7, 0.2], [-1.0, -0.05]])
    once = denoised(flow, x, variance=s**2)
    torch.testing.assert_close(once, torch.stack([x[:, 0] * (1.0 - s**2), torch.zeros(2)], dim=1), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(denoised(flow, x, variance=s**2, times=2), denoised(flow, once, variance=s**2))
    assert math.isclose(float(x[0, 1]), 0.2, rel_tol=1e-6)


def test_a_point_without_a_finite_slope_stays():
    flow = Flow(PointwiseAffineTransform(scale=torch.tensor([1.0, 10.0])), StandardNormal([2]))
    x = torch.tensor([[0.7, 0.2], [torch.inf, 0.0]])
    moved = denoised(flow, x, variance=0.01)
    assert moved[1].tolist() == [torch.inf, 0.0]
    assert moved[0].isfinite().all()
