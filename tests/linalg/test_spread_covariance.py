"""Cholesky factors of matrices as they lie in memory, against scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch

from nflows_spread.linalg import spread_covariance


@pytest.mark.parametrize("features", [1, 5, 200])
def test_cholesky_factors_are_scipys_and_lie_where_a_matrix_by_columns_lay(features):
    root = torch.randn(features, features + 1, dtype=torch.float64)
    by_rows = root @ root.mT
    by_columns, before = by_rows.clone().mT, by_rows.clone()
    expected = scipy.linalg.cholesky(by_rows.numpy(), lower=True)
    for matrix in (by_rows, by_columns):
        cholesky, info = spread_covariance.cholesky_of(matrix)
        np.testing.assert_allclose(cholesky, expected, rtol=1e-9, atol=1e-12)
        assert int(info) == 0
    assert cholesky.data_ptr() == by_columns.data_ptr()
    assert features == 1 or torch.equal(by_rows, before)
    assert int(spread_covariance.cholesky_of((-before).mT)[1]) > 0


def test_a_cholesky_factor_whose_matrix_has_a_gradient_is_made_apart():
    entries = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: spread_covariance.cholesky_of((a @ a.mT + torch.eye(4)).mT)[0], entries)
