"""The variances of white noise in whitened coordinates, exact and by random signs."""

import pytest
import torch

from nflows_spread.linalg.whitened_noise import whitened_noise


def triangle(features, scale):
    generator = torch.Generator().manual_seed(0)
    below = torch.randn(features, features, generator=generator, dtype=torch.float64).tril(-1)
    return torch.eye(features).double() + scale * below / features**0.5


@pytest.mark.parametrize("features", [5, 64, 150])
def test_where_noise_counts_its_variances_are_exact(features):
    cholesky = triangle(features, 0.8)
    expected = 0.3 * torch.linalg.inv(cholesky).square().sum(1)
    found = whitened_noise(cholesky, torch.tensor(0.3))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0.0)


def test_where_it_does_not_they_are_right_on_average():
    cholesky = triangle(300, 0.8)
    exact = 1e-3 * torch.linalg.inv(cholesky).square().sum(1)
    found = whitened_noise(cholesky, torch.tensor(1e-3))
    assert not torch.equal(found, exact)
    assert float(found.mean() / exact.mean() - 1.0) == pytest.approx(0.0, abs=0.05)
    assert float((found / exact - 1.0).abs().max()) < 0.6
