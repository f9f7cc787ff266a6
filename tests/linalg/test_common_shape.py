"""Covariances of one shape at several scales: found where they are, and a maximum of the likelihood where not."""

import pytest
import torch

from nflows_spread.linalg.common_shape import common_shape

WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)


@pytest.mark.parametrize("rank", [2, 5])
def test_proportional_covariances_are_found_exactly(rank):
    root = torch.randn(5, rank, dtype=torch.float64)
    given = torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64).view(-1, 1, 1) * (root @ root.mT)
    shape, squares = common_shape(WEIGHTS, given, 1e-4)
    torch.testing.assert_close(squares.view(-1, 1, 1) * shape, given)
    assert float(WEIGHTS @ squares) == pytest.approx(1.0)


def test_others_are_at_the_maximum_of_the_likelihood():
    roots = torch.randn(3, 5, 5, dtype=torch.float64)
    given = roots @ roots.mT
    shape, squares = common_shape(WEIGHTS, given, 0.0)

    def likelihood(shape, squares):
        parts = torch.linalg.solve(shape, given).diagonal(dim1=1, dim2=2).sum(1) / squares
        return -(WEIGHTS * (5 * squares.log() + torch.logdet(shape) + parts)).sum()

    inputs = [shape.requires_grad_(), squares.requires_grad_()]
    for gradient in torch.autograd.grad(likelihood(*inputs), inputs):
        assert gradient.abs().max() < 0.05


def test_a_piece_without_variance_has_a_scale_above_0():
    given = torch.stack([torch.zeros(2, 2), torch.eye(2), torch.eye(2)]).double()
    squares = common_shape(WEIGHTS, given, 1e-4)[1]
    assert 0.0 < float(squares[0]) <= 1e-3
