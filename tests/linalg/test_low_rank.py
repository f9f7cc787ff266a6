"""The spread prior of a low-rank A: its log-density against scipy, eigenvalues and best approximation against NumPy."""

import numpy as np
import pytest
import torch

from nflows_spread.linalg.low_rank import low_rank_eigenvalues, low_rank_eigh, low_rank_log_prob, low_rank_of
from support import scipy_log_prob

SPREAD = torch.tensor(1e-4, dtype=torch.float64)
sizes = pytest.mark.parametrize(("features", "rank"), [(6, 1), (6, 6), (40, 5), (40, 40)])  # small ones and not


@sizes
def test_log_prob_is_scipys(features, rank):
    factor = torch.randn(features, rank, dtype=torch.float64)
    z = torch.randn(7, rank, dtype=torch.float64) @ factor.mT + 0.01 * torch.randn(7, features, dtype=torch.float64)
    expected = scipy_log_prob(z, torch.nn.functional.pad(factor, (0, features - rank)), float(SPREAD))
    np.testing.assert_allclose(low_rank_log_prob(z, factor, SPREAD), expected, rtol=1e-8)


@pytest.mark.parametrize("features", [4, 34])
def test_gradients_and_their_gradients_are_those_of_finite_differences(features):
    factor = torch.randn(features, 2, dtype=torch.float64, requires_grad=True)
    z = torch.randn(2, features, dtype=torch.float64, requires_grad=True)
    spread = torch.tensor(0.3, dtype=torch.float64)

    def log_prob(z, factor):
        return low_rank_log_prob(z, factor, spread)

    assert torch.autograd.gradcheck(log_prob, (z, factor))
    assert torch.autograd.gradgradcheck(log_prob, (z, factor))


@sizes
def test_eigenvalues_and_eigenvectors_are_those_of_the_covariance(features, rank):
    factor = torch.randn(features, rank, dtype=torch.float64)
    covariance = factor @ factor.mT
    values, vectors = low_rank_eigh(factor)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance.numpy())[::-1], atol=1e-10)
    torch.testing.assert_close(low_rank_eigenvalues(factor), values)
    torch.testing.assert_close(vectors * values @ vectors.mT, covariance)
    torch.testing.assert_close(vectors.mT @ vectors, torch.eye(features, dtype=torch.float64))


def test_the_factor_of_a_root_is_its_covariance_or_the_best_approximation():
    root = torch.randn(6, 4, dtype=torch.float64)
    exact = low_rank_of(root, 5)
    assert exact.shape == (6, 5)
    torch.testing.assert_close(exact @ exact.mT, root @ root.mT)
    left, singular, right = torch.linalg.svd(root, full_matrices=False)  # truncated: the best, by Eckart and Young
    best = left[:, :2] * singular[:2] @ right[:2]
    nearest = low_rank_of(root, 2)
    torch.testing.assert_close(nearest @ nearest.mT, best @ best.mT)
