"""The elementwise spline against nflows' own."""

import pytest
import torch
from nflows.transforms.nonlinearities import PiecewiseRationalQuadraticCDF

from nflows_spread.transforms import MarginalSpline
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
