"""Monomials up to a degree: how many, their gradients beside autograd's, and the distance of points from surfaces."""

import pytest
import torch

from nflows_spread.linalg.monomials import Monomials, number_of_monomials

pytestmark = pytest.mark.usefixtures("float64")
WIDTHS = torch.tensor([1.0, 0.3, 0.02], dtype=torch.float64)


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_slopes_are_gradients(degree):
    coordinates, coefficients = normal(50, 3), normal(number_of_monomials(3, degree), 1)
    monomials = Monomials(degree, coordinates, WIDTHS, points=5)
    slopes = monomials.slopes(coefficients)
    assert slopes.shape == (5, 1, 3)

    def polynomial(x):
        products = [
            (x / WIDTHS)[chosen].prod()
            for count in range(1, degree + 1)
            for chosen in torch.combinations(torch.arange(3), count, with_replacement=True)
        ]
        return (torch.stack(products) * monomials.scales * coefficients[:, 0]).sum()

    for point in range(5):
        gradient = torch.autograd.functional.jacobian(polynomial, coordinates[point] * WIDTHS)
        torch.testing.assert_close(slopes[point, 0], gradient)


@pytest.mark.parametrize("degree", [2, 3])
def test_each_has_a_mean_squared_slope_of_one(degree):
    monomials = Monomials(degree, normal(40, 3), WIDTHS, points=40)
    slopes = monomials.slopes(torch.eye(number_of_monomials(3, degree)))
    torch.testing.assert_close(slopes.square().sum(2).mean(0), torch.ones(number_of_monomials(3, degree)))
    assert monomials.terms.shape == (40, number_of_monomials(3, degree))


def test_distances_from_surfaces_are_eigenvalues():
    """Of a circle with noise across it: the last one is its standard deviation."""
    angle, radius = 6.2831853 * torch.arange(4000.0) / 4000, 1.0 + 0.01 * normal(4000)
    circle = radius.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1) * 2.0**0.5
    monomials = Monomials(2, circle, torch.ones(2), points=10)
    least = torch.linalg.eigvalsh(monomials.products)[0].sqrt()
    assert float(least) == pytest.approx(0.01 * 2.0**0.5, rel=0.05)
    assert monomials.farther_than(0.009 * 2.0**0.5)
    assert not monomials.farther_than(0.011 * 2.0**0.5)
