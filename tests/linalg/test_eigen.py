"""Eigenvalues and eigenvectors of a factor, against NumPy."""

import numpy as np
import torch

from nflows_spread.linalg.eigen import factor_eigh
from support import lower_triangular


def test_eigendecomposition_is_numpys_in_descending_order_with_fixed_signs():
    factor = lower_triangular(9, 5, 2.0)
    values, vectors = factor_eigh(factor)
    covariance = factor @ factor.T
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance.numpy())[::-1].clip(0), atol=1e-12)
    torch.testing.assert_close(vectors * values @ vectors.T, covariance)
    assert (values >= 0).all()
    assert (values[5:] < 1e-12).all()
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()
