"""The elementwise spline against nflows' own."""

import copy

import pytest
import torch
from nflows.transforms.nonlinearities import PiecewiseRationalQuadraticCDF

from nflows_spread.transforms import MarginalSpline
from nflows_spread.transforms.marginal import _root
from support import randomize, refused

pytestmark = pytest.mark.usefixtures("float64")


def test_it_is_the_function_of_nflows():
    spline = randomize(MarginalSpline(5, bins=8), scale=1.0)
    oracle = PiecewiseRationalQuadraticCDF(
        (5,), num_bins=8, tails="linear", tail_bound=3.0, min_bin_width=1e-4, min_bin_height=1e-4, min_derivative=1e-4
    )
    with torch.no_grad():
        oracle.unnormalized_widths.copy_(spline.unnormalised_widths)
        oracle.unnormalized_heights.copy_(spline.unnormalised_heights)
        oracle.unnormalized_derivatives.copy_(spline.unnormalised_slopes)
    x = 2.0 * torch.randn(1000, 5, generator=torch.Generator().manual_seed(0))
    assert (x.abs() > 3.0).any()
    assert (x.abs() < 3.0).any()
    for ours, theirs in ((spline, oracle), (spline.inverse, oracle.inverse)):
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-9, atol=1e-10)


def steep(scale):
    """A spline in float32 and the same in float64, values all over its range, and those that even points have."""
    exact = randomize(MarginalSpline(5, bins=16), scale=scale).float().double()
    spline = copy.deepcopy(exact).float()
    grid = torch.linspace(-2.999, 2.999, 20_000, dtype=torch.float32).unsqueeze(1).expand(-1, 5)
    return spline, exact, (grid, spline(grid)[0].detach())


@pytest.mark.parametrize("scale", [3.0, 10.0, 100.0])
def test_a_steep_spline_is_inverted_with_finite_numbers_and_comes_back(scale):
    spline, _, starts = steep(scale)
    for start in starts:
        y = start.clone().requires_grad_()
        x, logabsdet = spline.inverse(y)
        assert torch.isfinite(logabsdet).all()
        assert float((spline(x)[0] - y).detach().abs().max()) < 5e-3  # the other end of a bin with a root that cancels
        (x.sum() + logabsdet.sum()).backward()
        assert torch.isfinite(y.grad).all()
        assert all(torch.isfinite(parameter.grad).all() for parameter in spline.parameters())


@pytest.mark.parametrize("scale", [3.0, 10.0, 100.0])
def test_the_inverse_of_a_steep_spline_in_float32_is_that_in_float64(scale):
    spline, exact, (grid, _) = steep(scale)
    for mine, other in zip(spline.inverse(grid), exact.inverse(grid.double())):
        error = (mine.double() - other).abs()
        assert float(error.quantile(0.99)) < 2e-3
        assert float(error.max()) < 0.3


def test_it_starts_as_the_identity():
    x = 2.0 * torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    outputs, logabsdet = MarginalSpline(3)(x)
    torch.testing.assert_close(outputs, x, rtol=1e-3, atol=1e-3)
    assert float(logabsdet.detach().abs().max()) < 1e-2


def test_gradients_are_those_of_finite_differences():
    spline = randomize(MarginalSpline(2, bins=3), scale=0.5)
    x = torch.tensor([[0.3, -1.2], [4.0, 2.9]], requires_grad=True)
    assert torch.autograd.gradcheck(lambda points, *_: spline(points), (x, *spline.parameters()))


@pytest.mark.parametrize(("arguments", "message"), [({"bins": 0}, "bins must be"), ({"bound": 0.0}, "bound must be")])
def test_arguments_out_of_range_are_refused(arguments, message):
    with refused(ValueError, message):
        MarginalSpline(3, **arguments)


def test_inputs_of_another_width_are_refused():
    with refused(ValueError, "inputs must have shape (n, 3), got (2, 4)"):
        MarginalSpline(3)(torch.zeros(2, 4))


@pytest.mark.parametrize(("beyond", "expected"), [(1.0 + 1e-9, 1.0), (0.5, 0.5), (-1e-9, 0.0)])
def test_a_root_that_rounding_left_outside_of_its_bin_is_brought_back_with_its_gradient(beyond, expected):
    """Of θ − c = 0, whose root is c."""
    c = torch.tensor(beyond, requires_grad=True)
    theta = _root(torch.tensor(0.0), torch.tensor(1.0), -c)
    assert theta.item() == pytest.approx(expected, abs=1e-15)
    assert torch.autograd.grad(theta, c)[0].item() == pytest.approx(1.0)
