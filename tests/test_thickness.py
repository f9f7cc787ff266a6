"""Noise that the data brought along: how much of it a spectrum shows, and points without it."""

import math

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform

from nflows_spread import Spectrum
from nflows_spread.dimension.thickness import denoised, thickness_of

NOISE = 0.01


def spectrum(signal, noise=NOISE):
    """The spectrum of data with these variances, under data noise."""
    values = torch.tensor(signal, dtype=torch.float64) + noise**2
    return Spectrum(values, values, 1e-6, noise)


def test_the_plateau_of_isotropic_noise_is_found():
    t = 0.05
    signal = [1.0 + t**2, 0.5 + t**2, *[t**2] * 10]
    assert thickness_of(spectrum(signal)) == pytest.approx(t, rel=1e-9)


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
    assert thickness_of(spectrum(signal)) == 0.0


def test_without_data_noise_nothing_is_known_of_the_floor():
    assert thickness_of(spectrum([1.0, 1e-3], noise=0.0)) == 0.0


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
