"""Generalised eigenvalues of signal and noise, against scipy, and what does not change them."""

import numpy as np
import pytest
import scipy.linalg
import torch

from nflows_spread.linalg.signal_to_noise import (
    generalised_eigh,
    log_pointwise_signal_to_noise,
    low_rank_generalised_eigenvalues,
)


def random_pair(features):
    root, other = torch.randn(2, features, features, dtype=torch.float64)
    return root @ root.T, other @ other.T + 0.1 * torch.eye(features, dtype=torch.float64)


def test_generalised_eigenvalues_are_scipys():
    signal, noise = random_pair(7)
    expected = scipy.linalg.eigh(signal.numpy(), noise.numpy(), eigvals_only=True)[::-1]
    np.testing.assert_allclose(generalised_eigh(signal, noise)[0], expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 7, 9])
def test_generalised_eigenvalues_of_a_root_are_scipys_of_its_square(rank):
    root, (_, noise) = torch.randn(7, rank, dtype=torch.float64), random_pair(7)
    expected = scipy.linalg.eigh((root @ root.T).numpy(), noise.numpy(), eigvals_only=True)[::-1]
    np.testing.assert_allclose(low_rank_generalised_eigenvalues(root, noise), expected[:7], rtol=1e-8, atol=1e-10)


def test_linear_maps_of_the_space_leave_generalised_eigenvalues_alone():
    signal, noise = random_pair(5)
    expected = generalised_eigh(signal, noise)[0]
    dense = torch.randn(5, 5, dtype=torch.float64)
    diagonal = torch.tensor([1e-6, 1e-3, 1.0, 1e3, 1e6], dtype=torch.float64).diag()
    for gauge in (dense, diagonal, diagonal @ dense):
        moved = generalised_eigh(gauge @ signal @ gauge.T, gauge @ noise @ gauge.T)[0]
        torch.testing.assert_close(moved, expected, rtol=1e-8, atol=0)


def test_generalised_eigenvectors_are_orthonormal_in_the_noise_and_diagonalise_the_signal():
    signal, noise = random_pair(6)
    values, vectors = generalised_eigh(signal, noise)
    torch.testing.assert_close(vectors.T @ noise @ vectors, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(vectors.T @ signal @ vectors, values.diag(), rtol=0, atol=1e-9)


def test_generalised_eigenvalues_of_a_singular_signal_are_not_negative():
    """Rounding leaves about half of the zeros below 0."""
    _, noise = random_pair(20)
    direction = torch.randn(20, 1, dtype=torch.float64)
    values, _ = generalised_eigh(direction @ direction.mT, noise)
    assert (values >= 0.0).all()
    assert float(values[1]) < 1e-12 * float(values[0])


def test_pointwise_signal_to_noise_is_that_of_each_jacobian():
    signal, _ = random_pair(4)
    jacobians = torch.randn(6, 4, 4, dtype=torch.float64)
    each = [scipy.linalg.eigh(signal.numpy(), (j @ j.T).numpy(), eigvals_only=True)[::-1] for j in jacobians]
    np.testing.assert_allclose(log_pointwise_signal_to_noise(signal, jacobians), np.log(each), rtol=1e-8)


def test_a_singular_response_to_noise_is_refused():
    signal, noise = random_pair(3)
    noise[2] = noise[:, 2] = 0.0
    with pytest.raises(ValueError, match="must be positive definite"):
        generalised_eigh(signal, noise)
