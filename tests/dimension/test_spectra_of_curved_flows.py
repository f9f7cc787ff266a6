"""The spectrum of a flow whose Jacobian differs from point to point, against SciPy's eigenvalues at each."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform, Transform

from nflows_spread import DegenerateGaussian, spectrum
from nflows_spread.chart import chart_of
from nflows_spread.dimension.latents import Latents
from nflows_spread.dimension.spectra import pointwise_spectrum
from nflows_spread.dimension.standard_errors import relative_errors

pytestmark = pytest.mark.usefixtures("float64")

NOISE = 1e-3  # so small that it moves no Jacobian and no covariance


class Shear(Transform):
    """g(x, y) = (x + 5, y exp(x) + 2): J = [[1, 0], [y exp(x), exp(x)]]."""

    def forward(self, inputs, context=None):
        x, y = inputs.unbind(1)
        return torch.stack([x + 5.0, y * x.exp() + 2.0], dim=1), x

    def jacobian(self, inputs):
        x, y = inputs.numpy().T
        zero = np.zeros_like(x)
        return np.moveaxis(np.array([[zero + 1.0, zero], [y * np.exp(x), np.exp(x)]]), 2, 0)


def seeded(seed=0):
    """Data has another seed than noise, which would repeat it."""
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def x():
    return torch.randn(300, 2, dtype=torch.float64, generator=seeded(5)) * torch.tensor([0.7, 2.0], dtype=torch.float64)


def flow():
    return Flow(Shear(), DegenerateGaussian([2]))


def logs_of_mu(x):
    """log μ at each point, descending, and S and the Jacobians behind them."""
    covariance = np.cov(Shear().forward(x)[0].numpy().T, bias=True)
    jacobians = Shear().jacobian(x)
    each = [scipy.linalg.eigh(covariance, j @ j.T, eigvals_only=True)[::-1] for j in jacobians]
    return np.log(each), covariance, jacobians


def test_mu_is_the_geometric_mean_over_points(x):
    logs, _, _ = logs_of_mu(x)
    assert logs.std(0).min() > 0.3  # an arithmetic mean is another
    found = spectrum(flow(), x, data_noise=NOISE, generator=seeded()).signal_to_noise
    np.testing.assert_allclose(found, np.exp(logs.mean(0)), rtol=0.01)


def test_the_error_is_of_the_points_at_which_j_is_taken_and_of_those_behind_the_covariance(x):
    logs, covariance, jacobians = logs_of_mu(x)
    response = np.mean([j @ j.T for j in jacobians], axis=0)
    _, vectors = scipy.linalg.eigh(response, covariance)  # VᵀSV = I, from the largest μ to the smallest
    latents = Shear().forward(x)[0].numpy()
    powers = ((latents - latents.mean(0)) @ vectors) ** 2
    of_jacobians, of_covariance = logs.var(0, ddof=1) / len(x), powers.var(0, ddof=1) / len(x)
    assert min(of_jacobians) > 0.05 * min(of_covariance)
    found = spectrum(flow(), x, data_noise=NOISE, generator=seeded()).errors
    np.testing.assert_allclose(found, np.sqrt(of_jacobians + of_covariance), rtol=0.01)


def test_at_a_point_mu_is_that_of_its_own_jacobian(x):
    logs, _, _ = logs_of_mu(x)
    found = pointwise_spectrum(flow(), x[:20], data=x, data_noise=NOISE, generator=seeded())
    np.testing.assert_allclose(found, np.exp(logs[:20]), rtol=0.01)


def test_at_a_point_the_jacobian_is_that_of_the_point_itself_and_not_of_a_noisy_one(x):
    """The product of all μ is det S / det² J, and det J = exp(x)."""
    found = pointwise_spectrum(flow(), x[:20], data=x, data_noise=0.3, generator=seeded())
    of_s = found.log().sum(1) + 2.0 * x[:20, 0]
    torch.testing.assert_close(of_s, of_s[:1].expand(20), rtol=0.0, atol=1e-6)


def test_jacobians_are_analytic_ones_and_noise_is_not_added_where_none_is_asked_for(x):
    latents = Latents(flow(), DegenerateGaussian([2]), x, None, 0.0, seeded())
    np.testing.assert_allclose(latents.jacobians(10), Shear().jacobian(x[:10]), rtol=1e-6, atol=1e-9)
    assert len(latents.jacobians(1000)) == len(x)


def test_a_jacobian_is_taken_within_a_tenth_of_the_noise(x):
    """Over the whole of it a difference of exp(x) would be 1.5 % off."""
    jacobians = Latents(flow(), DegenerateGaussian([2]), x, None, 0.3, seeded()).jacobians(10)
    noisy = x[:10] + 0.3 * torch.empty_like(x[:10]).normal_(generator=seeded())
    np.testing.assert_allclose(jacobians, Shear().jacobian(noisy), rtol=1e-3, atol=1e-9)


def test_errors_of_the_mean_response_are_those_of_the_points_and_not_of_their_copies():
    """A hundred points with six noisy copies each: μ is a variance of a hundred Gaussian values."""
    features, x = 20, torch.randn(100, 20, generator=seeded(5))
    latents = Latents(
        Flow(Identity(), DegenerateGaussian([features])), DegenerateGaussian([features]), x, None, 0.01, seeded()
    )
    _, covariance, response = latents.moments_and_response()
    powers, responses = latents.powers(torch.eye(features))
    variances = covariance.diagonal()
    errors = relative_errors(
        powers / variances, points=100, response=responses, pairs=latents.pairs, noise_share=0.01**2 / variances
    )
    torch.testing.assert_close(response.diagonal().mean(), torch.tensor(1.0), rtol=0.02, atol=0.0)
    assert float(errors.mean()) == pytest.approx(math.sqrt(2 / 100 + 2 / 640), rel=0.15)


@pytest.mark.parametrize(("features", "asked", "points"), [(128, None, 512), (129, None, 16), (600, 1, 1)])
def test_jacobians_are_taken_at_many_points_and_beyond_128_features_at_sixteen(features, asked, points):
    identity, passed = Flow(Identity(), DegenerateGaussian([features])), []
    identity._transform.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    found = spectrum(identity, torch.randn(600, features), data_noise=0.1, jacobians=asked)
    of_the_covariance = 32 * features
    assert sum(passed) - of_the_covariance == pytest.approx(2 * features * points, abs=1)
    assert found.errors.shape == (features,)


def test_moments_are_those_of_noisy_data():
    noise, x = 0.3, torch.randn(20_000, 2, generator=seeded(5)) * torch.tensor([0.5, 2.0])
    latents = Latents(flow(), DegenerateGaussian([2]), x, None, noise, seeded())
    noisy = x + noise * torch.randn(x.shape, generator=seeded(6))
    of_noisy = Shear().forward(noisy)[0].numpy()
    covariance, centred = latents.covariance()
    assert centred.shape == (2048, 2)
    np.testing.assert_allclose(covariance, np.cov(of_noisy.T), rtol=0.05, atol=0.05)
    mean, _, response = latents.moments_and_response()
    np.testing.assert_allclose(mean, of_noisy.mean(0), rtol=0.02)
    response_of_points = np.mean([j @ j.T for j in Shear().jacobian(noisy)], axis=0)
    np.testing.assert_allclose(response, response_of_points, rtol=0.2, atol=0.1)


def test_without_curvature_both_ways_to_the_covariance_are_that_of_the_data_and_the_noise():
    x = torch.randn(2000, 3, generator=seeded(5)) * torch.tensor([2.0, 1.0, 0.0]) + 7.0
    identity = Flow(IdentityTransform(), DegenerateGaussian([3]))
    latents = Latents(identity, identity._distribution, x, None, 0.5, seeded())
    expected = np.cov(x.numpy().T, bias=True) + 0.25 * np.eye(3)
    covariance, centred = latents.covariance()
    mean, second, response = latents.moments_and_response()
    for found in (covariance, second):
        np.testing.assert_allclose(found, expected, atol=0.15)
    np.testing.assert_allclose(response, np.eye(3), atol=0.12)
    np.testing.assert_allclose(mean, x.numpy().mean(0), atol=5.0 * 0.5 / math.sqrt(2000))
    np.testing.assert_allclose(centred.mean(0), np.zeros(3), atol=1e-9)


class Identity(Transform):
    def forward(self, inputs, context=None):
        return inputs, inputs.new_zeros(len(inputs))


def test_a_chart_turns_data_to_coordinates_in_its_units_and_back():
    x = torch.randn(3000, 3, generator=seeded(5)) * torch.tensor([1.0, 3.0, 0.5]) - 4.0
    identity = Flow(IdentityTransform(), DegenerateGaussian([3]))
    chart = chart_of(identity, x, data_noise=0.01, generator=seeded())
    chart = chart.first(2)
    coordinates = chart.coordinates(x)
    np.testing.assert_allclose(coordinates.mT.cov(), np.diag([9.0, 1.0]), rtol=0.1, atol=0.2)
    expected = torch.stack([x[:, 0], x[:, 1], torch.full((3000,), float(chart.maps.mean[2]))], dim=1)
    np.testing.assert_allclose(chart.points(coordinates), expected, atol=0.2)
