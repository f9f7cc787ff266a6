"""Leading principal axes of wide data: what they keep, the density of the rest, and fits that go through them."""

import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.leading_axes import LeadingAxes
from nflows_spread.estimator.units import Units

SHORT = Recipe(steps=15, layers=2, hidden_features=16, bins=8, chart_width=32)


def arc(rows=300, features=600, noise=0.01, seed=0):
    """Half a circle in the plane of two random directions, about a mean, with noise in all columns."""
    draws = np.random.default_rng(seed)
    t = draws.uniform(0.0, np.pi, rows)
    plane = np.linalg.qr(draws.normal(size=(features, 2)))[0]
    x = np.stack([np.cos(t), np.sin(t)], axis=1) @ plane.T
    return 5.0 + 30.0 * (x + noise * draws.normal(size=x.shape))


def units_of(x, *, standardize):
    x = torch.as_tensor(x)
    return Units.of(x, standardize=standardize).along_leading_axes(x)


@pytest.mark.parametrize("features", [2, 512])
def test_data_of_up_to_512_columns_is_taken_as_it_is(features):
    assert LeadingAxes.of(torch.as_tensor(arc(100, features))) is None


@pytest.mark.parametrize("filled", [400, 600])
def test_data_that_fills_more_than_a_quarter_of_its_columns_is_taken_as_it_is(filled):
    generator = torch.Generator().manual_seed(0)
    frame = torch.randn(filled, 600, dtype=torch.float64, generator=generator)
    assert LeadingAxes.of(torch.randn(900, filled, dtype=torch.float64, generator=generator) @ frame) is None


def test_the_axes_hold_what_stands_above_the_noise_and_some_more():
    x = torch.as_tensor(arc(noise=0.0))
    leading = LeadingAxes.of(x - x.mean(0))
    assert leading.axes.shape == (600, 64)
    assert leading.beyond < 1e-12 * leading.deviation**2
    torch.testing.assert_close(leading.axes.mT @ leading.axes, torch.eye(64, dtype=torch.float64))
    back = leading.points(leading.coordinates(x - x.mean(0)))
    torch.testing.assert_close(back, x - x.mean(0), rtol=0.0, atol=1e-10)
    assert float(leading.coordinates(x - x.mean(0)).square().mean()) == pytest.approx(1.0)
    noise = 0.1 * torch.randn(3000, 600, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    noise[:, :40] += 5.0 * torch.randn(3000, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    found = LeadingAxes.of(noise)
    assert found.axes.shape == (600, 72)  # the 40, and 32 more
    assert math.sqrt(found.beyond) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("standardize", [False, True])
def test_the_density_of_all_columns_is_that_of_one_gaussian(standardize):
    x = arc(80, 520)
    units = units_of(x, standardize=standardize)
    unit, noise = units.to_flow(torch.as_tensor(x[:7]), torch.float64), 0.02
    of_flow = -0.5 * (unit.square().sum(1) + unit.shape[1] * math.log(2.0 * math.pi))
    axes, deviation = units.leading.axes.numpy(), units.leading.deviation
    rest = np.eye(len(axes)) - axes @ axes.T
    covariance = deviation**2 * axes @ axes.T + (units.leading.beyond + (noise * deviation) ** 2) * rest
    scale = np.broadcast_to(units.scale.numpy(), len(axes))
    expected = multivariate_normal(units.center.numpy(), covariance * np.outer(scale, scale)).logpdf(x[:7])
    found = units.log_prob_in_data(of_flow, torch.as_tensor(x[:7]), data_noise=noise)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-8)


@pytest.mark.parametrize("standardize", [False, True])
def test_samples_of_wide_data_end_a_twentieth_of_the_range_beyond_each_column(standardize):
    x = torch.as_tensor(arc())
    units = units_of(x, standardize=standardize)
    unit = 1.1 * units.to_flow(x, torch.float64)
    free, samples = units.to_data(unit), units.samples_in_data(unit)
    beyond = 0.05 * (x.amax(0) - x.amin(0))
    low, high = x.amin(0) - beyond, x.amax(0) + beyond
    inside = (free >= low) & (free <= high)
    assert 0.5 < float(inside.double().mean()) < 1.0
    assert torch.equal(samples[inside], free[inside])
    torch.testing.assert_close(samples, torch.where(free > high, high, torch.where(free < low, low, free)))


def test_errors_are_over_the_variance_of_all_columns():
    x = torch.as_tensor(arc())
    units = units_of(x, standardize=False)
    unit = units.to_flow(x, torch.float64)
    axes = torch.linalg.svd(unit, full_matrices=False).Vh[:3]
    points = unit @ axes.mT @ axes
    error = ((points - unit).square().sum() / unit.square().sum()).sqrt()
    whole = ((units.to_data(points) - x).square().sum() / (x - x.mean(0)).square().sum()).sqrt()
    torch.testing.assert_close(units.relative_errors(error), whole, rtol=1e-6, atol=0.0)


@pytest.fixture(scope="module")
def plain():
    return SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc())


@pytest.mark.parametrize("standardize", [False, True])
def test_a_fit_of_wide_data_is_in_all_its_columns(standardize, plain):
    x = arc()
    fitted = SpreadFlowEstimator(random_state=0, recipe=SHORT, standardize=True).fit(x) if standardize else plain
    assert fitted.intrinsic_dimension_ == 1
    assert fitted.axes_.shape == (600, 98 if standardize else 64)
    assert fitted.n_features_in_ == 600
    coordinates, samples = fitted.transform(x), fitted.sample(200)
    assert coordinates.shape == (300, 1)
    assert samples.shape == (200, 600)
    back = fitted.inverse_transform(coordinates)
    scale = x.std(0) if standardize else 1.0
    left = np.sqrt((((back - x) / scale) ** 2).sum() / (((x - x.mean(0)) / scale) ** 2).sum())
    assert left == pytest.approx(fitted.reconstruction_error_, rel=0.15)
    assert np.isfinite(fitted.score_samples(x)).all()
    unit = (x - fitted.center_.numpy()) / np.asarray(fitted.scale_) @ fitted.axes_.numpy()
    np.testing.assert_allclose(fitted.chart_.coordinates(torch.as_tensor(unit)).numpy() * _length(fitted), coordinates)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(x), coordinates)


def _length(fitted):
    """What a length of the flow's is in the coordinates that ``transform`` gives."""
    return fitted.data_noise_ / SHORT.last_noise


def test_the_density_of_wide_data_is_one_of_its_units(plain):
    x = arc()
    there = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(1024.0 * x)
    expected = plain.score_samples(x) - 600 * math.log(1024.0)
    np.testing.assert_allclose(there.score_samples(1024.0 * x), expected, rtol=1e-6)


def test_as_many_axes_are_kept_as_components_are_asked_for():
    fitted = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=100).fit(arc())
    assert fitted.axes_.shape == (600, 100)
    assert fitted.transform(arc(5)).shape == (5, 100)
    assert LeadingAxes.of(torch.as_tensor(arc()), fewest=400) is None
