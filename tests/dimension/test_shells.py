"""Closed surfaces that fill no linear span, and what the consensus says of them."""

import pytest
import torch

from nflows_spread.dimension.shells import principal_coordinates, shells_of

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def shells(x):
    return shells_of(principal_coordinates(x))


def sphere(dimension, n):
    x = torch.randn(n, dimension + 1, generator=seeded())
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("dimension", [2, 10, 30])
@pytest.mark.parametrize("n", [1000, 4000])
def test_a_sphere_and_an_ellipsoid_are_shells_of_their_span_in_more_features_too(dimension, n):
    x = sphere(dimension, n)
    stretched = x @ torch.randn(dimension + 1, dimension + 9, generator=seeded(1))
    noisy = x + 0.02 * torch.randn(x.shape, generator=seeded(2)) / (dimension + 1) ** 0.5
    for points in (x, 1e3 + stretched, noisy):
        assert dimension + 1 in shells(points)


@pytest.mark.parametrize("dimension", [2, 10, 30])
def test_cubes_and_gaussians_are_no_shells(dimension):
    for draw in (torch.rand, torch.randn):
        assert shells(draw(1000, dimension, generator=seeded())) == ()


def test_the_span_of_fewer_points_than_it_takes_to_tell_is_no_shell():
    assert shells(torch.randn(60, 200, generator=seeded())) == ()


@pytest.mark.parametrize("shape", [(300, 20), (60, 100)])
def test_principal_coordinates_are_those_of_a_singular_value_decomposition(shape):
    x = torch.randn(shape, generator=seeded())
    x = x - x.mean(0)
    left, deviations = principal_coordinates(x)
    expected, values, _ = torch.linalg.svd(x, full_matrices=False)
    kept = min(shape[1], shape[0] - 1)  # the mean takes one
    torch.testing.assert_close(deviations[:kept], values[:kept])
    torch.testing.assert_close(left[:, :kept].square(), expected[:, :kept].square())


def test_the_first_points_are_asked_and_fewer_of_very_many_features():
    """Of 1000 points on a sphere and 1000 of a Gaussian, in 3 features and in 1001."""
    x = torch.cat([3.0**0.5 * sphere(2, 1000), torch.randn(2000, 3, generator=seeded(1))])
    assert 3 in shells(x[:1000])
    assert shells(x) == ()
    assert 3 in shells(torch.nn.functional.pad(x, (0, 998)))


@pytest.mark.parametrize("size", [1.0, 5.0, 50.0])
def test_points_are_about_their_own_centre_in_each_feature(size):
    offset, square = size * torch.tensor([5.0, -2.0, 0.0]), torch.rand(1000, 3, generator=seeded())
    assert shells(sphere(2, 1000) + offset) == shells(sphere(2, 1000))
    assert shells(square + offset) == ()
