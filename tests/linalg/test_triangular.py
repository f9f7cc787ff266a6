"""Products and solves of lower-triangular matrices by blocks, against those of whole matrices.

A density alone does not tell: where such a product is wrong, the sum may be indefinite and be formed another way.
"""

import pytest
import torch

from nflows_spread.linalg import triangular

pytestmark = pytest.mark.usefixtures("float64")

sizes = pytest.mark.parametrize("features", [5, 128, 129, 300, 517])


def triangle(features):
    """A well-conditioned one."""
    return (torch.randn(features, features) / features**0.5).tril(-1) + torch.diag(1.0 + torch.rand(features))


@sizes
def test_the_gram_matrix_is_that_of_the_whole(features):
    a = triangle(features)
    torch.testing.assert_close(triangular.lower_gram(a).tril(), (a @ a.mT).tril())


@sizes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_above_the_diagonal_is_left_out_of_the_factor_in_double(features, dtype):
    given = torch.randn(features, features, dtype=dtype)
    assert torch.equal(triangular.lower_double(given), given.double().tril())


@sizes
def test_the_lower_triangle_of_a_solution_is_that_of_the_whole(features):
    cholesky, rows = triangle(features), triangle(features)
    expected = torch.cholesky_solve(rows, cholesky)
    torch.testing.assert_close(triangular.lower_cholesky_solve(cholesky, rows).tril(), expected.tril())


@sizes
@pytest.mark.parametrize("with_less", [False, True])
def test_the_lower_triangle_of_a_product_is_that_of_the_whole(features, with_less):
    left, right, less = torch.randn(features, 7), torch.randn(features, 7), torch.randn(features, features)
    expected = left @ right.mT - (less if with_less else 0.0)
    found = triangular.lower_product(left, right, torch.float64, less=less.clone() if with_less else None)
    torch.testing.assert_close(found, expected.tril())


@pytest.mark.parametrize("features", [5, 300])
def test_substitutions_are_those_of_the_whole(features, monkeypatch):
    lower, rhs = triangle(features), torch.randn(features, 3)
    for whole in (features, 1):  # at once, and by blocks
        monkeypatch.setattr(triangular, "_WHOLE", whole)
        given = triangular.in_double(lower, lower.diagonal())
        for solve, matrix in ((triangular.solve_lower, lower), (triangular.solve_lower_transposed, lower.mT)):
            torch.testing.assert_close(matrix @ solve(given, lower.diagonal(), rhs), rhs)


@sizes
def test_the_inverse_is_that_of_the_whole_and_takes_its_place(features):
    a = triangle(features)
    expected = torch.linalg.inv(a)
    triangular.invert_lower(a)
    torch.testing.assert_close(a, expected)
    assert torch.equal(a, a.tril())


@sizes
def test_the_lower_triangle_of_a_transposed_product_reads_nothing_above_the_diagonal(features):
    a, b = triangle(features), torch.randn(features, features)
    symmetric = triangular.mirrored(b.clone())
    torch.testing.assert_close(symmetric, b.tril() + b.tril(-1).mT)
    begun = torch.randn(features, features).tril()
    for given in (b, symmetric):
        found = begun.clone()
        triangular.add_lower_of_transposed(found, a, given)
        torch.testing.assert_close(found, begun + (a.mT @ symmetric).tril())


@sizes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_transposed_substitution_by_blocks_is_that_of_the_whole(features, dtype):
    given, rhs = (triangle(features) + torch.randn(features, features).triu(1)).to(dtype), torch.randn(features, 3)
    expected = torch.linalg.solve_triangular(given.double().tril().mT, rhs, upper=True)
    found = triangular.solve_transposed_by_blocks(given, given.diagonal().double(), rhs)
    torch.testing.assert_close(found, expected)
