"""Mixtures of full covariances against ``torch.distributions`` and scikit-learn, and the moments of their samples."""

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from nflows_spread.linalg import gaussian_mixture
from nflows_spread.linalg.gaussian_mixture import (
    log_prob_of_mixture,
    moments_of_mixture,
    responsibilities_of_mixture,
    sample_of_mixture,
)


def mixture(pieces, features, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(pieces, features, features, generator=generator, dtype=torch.float64)
    weights = torch.rand(pieces, generator=generator, dtype=torch.float64) + 0.1
    means = torch.randn(pieces, features, generator=generator, dtype=torch.float64)
    return weights / weights.sum(), means, root @ root.mT + 0.01 * torch.eye(features)


@pytest.mark.parametrize("block", [1, 2**22])
@pytest.mark.parametrize(("pieces", "features"), [(1, 1), (3, 2), (5, 8)])
def test_the_density_is_that_of_torch_distributions(monkeypatch, pieces, features, block):
    monkeypatch.setattr(gaussian_mixture, "_ENTRIES", block)
    weights, means, covariances = mixture(pieces, features)
    z = 2.0 * torch.randn(50, features, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    oracle = MixtureSameFamily(Categorical(weights), MultivariateNormal(means, covariances)).log_prob(z)
    torch.testing.assert_close(log_prob_of_mixture(z, weights, means, covariances), oracle, rtol=1e-12, atol=1e-12)
    assert log_prob_of_mixture(z.float(), weights, means, covariances).dtype == torch.float32


def test_responsibilities_are_scikit_learns():
    weights, means, covariances = mixture(4, 3)
    z = torch.randn(30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    oracle = GaussianMixture(4)
    oracle.weights_, oracle.means_, oracle.covariances_ = weights.numpy(), means.numpy(), covariances.numpy()
    oracle.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(covariances.numpy()))
    found = responsibilities_of_mixture(z, weights, means, covariances)
    np.testing.assert_allclose(found.numpy(), oracle.predict_proba(z.numpy()), atol=1e-9)


def test_a_piece_of_weight_0_neither_counts_nor_breaks_the_gradient():
    weights, means, covariances = mixture(3, 2)
    weights = torch.tensor([0.25, 0.75, 0.0], dtype=torch.float64)
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    density = log_prob_of_mixture(z, weights, means, covariances)
    torch.testing.assert_close(density, log_prob_of_mixture(z, weights[:2], means[:2], covariances[:2]))
    density.sum().backward()
    assert torch.isfinite(z.grad).all()
    assert (responsibilities_of_mixture(z.detach(), weights, means, covariances)[:, 2] == 0.0).all()


def test_samples_have_the_moments_of_the_mixture():
    pieces = mixture(3, 2)
    samples = sample_of_mixture(200_000, *pieces, generator=torch.Generator().manual_seed(1))
    mean, covariance = moments_of_mixture(*pieces)
    oracle = MixtureSameFamily(Categorical(pieces[0]), MultivariateNormal(*pieces[1:]))
    torch.testing.assert_close(mean, oracle.mean)
    torch.testing.assert_close(covariance.diagonal(), oracle.variance)
    torch.testing.assert_close(samples.mean(0), mean, atol=0.02, rtol=0.0)
    torch.testing.assert_close(samples.mT.cov(), covariance, atol=0.06, rtol=0.0)
