"""Covariances and second moments of points, against NumPy."""

import numpy as np
import torch

from nflows_spread.linalg.moments import covariance_of, second_moment_of


def test_moments_are_numpys():
    x = torch.randn(50, 3) + 2.0
    np.testing.assert_allclose(covariance_of(x), np.cov(x.double().numpy().T, bias=True))
    np.testing.assert_allclose(second_moment_of(x), x.double().numpy().T @ x.double().numpy() / 50)
