"""Jacobians by reverse mode alone, where a function is differentiated twice and where it cannot be."""

import pytest
import torch
from torch.autograd.function import once_differentiable

from nflows_spread.chart.tangents import pushed_forward, tangents


class _Once(torch.autograd.Function):
    """sin x, whose gradient has no derivative, as that of zuko's solver has none."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * x.cos()


WEIGHT = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def twice(x):
    return (x @ WEIGHT.mT).sin().view(-1, 2, 2)


def once(x):
    return _Once.apply(x @ WEIGHT.mT).view(-1, 2, 2)


def points(seed=1):
    return torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def jacobian(x):
    """By hand: cos(Wx) W, row by row, (n, 4, 3)."""
    return (x @ WEIGHT.mT).cos().unsqueeze(2) * WEIGHT


@pytest.mark.parametrize("function", [twice, once])
def test_tangents_are_the_columns_of_the_jacobian(function):
    x = points()
    found = tangents(function, x)
    torch.testing.assert_close(found, jacobian(x).mT, rtol=1e-12, atol=1e-12)
    assert not found.requires_grad


@pytest.mark.parametrize("function", [twice, once])
def test_each_row_is_pushed_forward_in_a_direction_of_its_own(function):
    x, directions = points(), [points(2), points(3)]
    found = pushed_forward(function, x, directions)
    assert len(found) == 2
    for mine, v in zip(found, directions):
        torch.testing.assert_close(mine, (jacobian(x) @ v.unsqueeze(2)).view(-1, 2, 2), rtol=1e-12, atol=1e-12)
        assert not mine.requires_grad


@pytest.mark.parametrize("ask", [tangents, lambda function, x: pushed_forward(function, x, [x])])
def test_an_error_of_another_kind_is_raised_as_it_is(ask):
    class Broken(_Once):
        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return _Bad.apply(grad * x.cos())

    class _Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            raise RuntimeError("out of everything")

    with pytest.raises(RuntimeError, match=r"^out of everything$"):
        ask(lambda x: Broken.apply(x), points())
