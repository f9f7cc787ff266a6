"""Eigenvalues and eigenvectors of factors, covariances and rows, against NumPy."""

import numpy as np
import pytest
import torch

from nflows_spread.linalg.eigen import (
    decomposable,
    eigenvalues_descending,
    eigh_descending,
    factor_eigh,
    positive_root,
    principal_axes,
)
from support import lower_triangular, refused


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def assert_signs_are_fixed(vectors):
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


def test_eigendecomposition_is_numpys_in_descending_order_with_fixed_signs():
    factor = lower_triangular(9, 5, 2.0)
    values, vectors = factor_eigh(factor)
    covariance = factor @ factor.T
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance.numpy())[::-1].clip(0), atol=1e-12)
    torch.testing.assert_close(vectors * values @ vectors.T, covariance)
    assert (values >= 0).all()
    assert (values[5:] < 1e-12).all()
    assert_signs_are_fixed(vectors)


def test_a_wide_factor_has_as_many_eigenvalues_as_rows_and_a_narrow_one_too():
    for shape in ((4, 7), (7, 4)):
        factor = drawn(*shape)
        values, vectors = factor_eigh(factor)
        assert values.shape == shape[:1]
        torch.testing.assert_close(vectors * values @ vectors.mT, factor @ factor.mT)
        torch.testing.assert_close(vectors.mT @ vectors, torch.eye(shape[0], dtype=torch.float64))


def test_eigenvalues_of_a_covariance_are_numpys_and_negative_ones_are_0():
    symmetric = drawn(6, 6) + drawn(6, 6).mT
    expected = np.linalg.eigvalsh(symmetric.numpy())[::-1]
    assert expected[-1] < -0.1
    values, vectors = eigh_descending(symmetric)
    for found in (values, eigenvalues_descending(symmetric)):
        np.testing.assert_allclose(found, expected.clip(0), rtol=1e-10, atol=0)
    assert_signs_are_fixed(vectors)
    positive = vectors * values @ vectors.mT
    root = positive_root(symmetric)
    torch.testing.assert_close(root @ root.mT, positive)
    torch.testing.assert_close(symmetric @ vectors[:, 0], values[0] * vectors[:, 0])


@pytest.mark.parametrize("rows", [5, 8, 30])
def test_principal_axes_are_those_of_numpys_singular_values_of_few_rows_and_of_many(rows):
    x = drawn(rows, 8)
    axes, scale = principal_axes(x.float(), 3)
    _, singular, transposed = np.linalg.svd(x.float().double().numpy())
    np.testing.assert_allclose(scale, singular[:3] / rows**0.5, rtol=1e-10)
    np.testing.assert_allclose(axes.abs(), np.abs(transposed[:3].T), rtol=0, atol=1e-9)
    assert axes.dtype == scale.dtype == torch.float64
    assert_signs_are_fixed(axes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_with_the_number_of_such_entries(value):
    matrix = torch.eye(3)
    matrix[0, 1] = matrix[2, 2] = value
    with refused(ValueError, "must be finite", "NaN or infinity in 2 of 9 entries", "train the model again"):
        decomposable(matrix)


def test_a_sum_that_overflows_is_not_taken_for_infinity_of_an_entry():
    matrix = torch.full((2, 2), 3e38)
    assert decomposable(matrix) is matrix
