"""Covariances, second moments and the mean variance of points, against NumPy."""

import numpy as np
import pytest
import torch

from nflows_spread.linalg.moments import average_in, covariance_of, root_mean_variance, second_moment_of


def test_moments_are_numpys():
    x = torch.randn(50, 3) + 2.0
    np.testing.assert_allclose(covariance_of(x), np.cov(x.double().numpy().T, bias=True))
    np.testing.assert_allclose(second_moment_of(x), x.double().numpy().T @ x.double().numpy() / 50)


def test_an_average_moves_by_its_rate_towards_the_second_moment_of_new_points():
    x, average = torch.randn(50, 3) + 2.0, torch.eye(3, dtype=torch.float64)
    average_in(average, x, 0.3)
    np.testing.assert_allclose(average, 0.7 * np.eye(3) + 0.3 * x.double().numpy().T @ x.double().numpy() / 50)


@pytest.mark.parametrize("correction", [0, 1])
@pytest.mark.parametrize("shape", [(40, 3), (40, 2, 3, 4)])
def test_the_scale_of_data_is_the_root_of_the_mean_variance_of_a_feature(shape, correction):
    x = 7.0 + torch.randn(*shape, dtype=torch.float64) * torch.linspace(0.1, 3.0, shape[-1])
    expected = np.sqrt(x.flatten(1).numpy().var(axis=0, ddof=correction).mean())
    assert float(root_mean_variance(x, correction=correction)) == pytest.approx(expected, rel=1e-12)
    assert root_mean_variance(x.float()).dtype == torch.float32
