"""Order of coordinates: by the share of the data's variance that each explains, and rotations that explain most."""

import math

import pytest
import torch

from nflows_spread.estimator.coordinate_order import explained_by, ordered_axes, turned_axes


def rolled_up(rows=2000, turns=3.0, width=8.0):
    """Arc length and width of a rolled sheet that is as wide as long, and the sheet: the width explains more of it."""
    generator = torch.Generator().manual_seed(0)
    length, across = (torch.rand(2, rows, dtype=torch.float64, generator=generator) - 0.5) * width
    angle = 2.0 * math.pi * turns * length / width
    radius = 0.5 * width / (math.pi * turns)
    x = torch.stack([radius * angle.cos(), radius * angle.sin(), across], dim=1)
    return torch.stack([length, across], dim=1), x - x.mean(0)


def turned_by(angle):
    return torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=torch.float64)


def test_the_share_is_that_of_the_conditional_mean():
    coordinates, x = rolled_up()
    variances = x.square().mean(0)
    expected = torch.stack([variances[0] + variances[1], variances[2]]) / variances.sum()
    torch.testing.assert_close(explained_by(coordinates, x), expected, rtol=0.0, atol=0.06)


def test_a_coordinate_that_says_nothing_explains_what_chance_does():
    _, x = rolled_up()
    noise = torch.randn(len(x), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert float(explained_by(noise, x).max()) < 0.1


def test_what_explains_more_comes_first_however_much_it_varies():
    coordinates, x = rolled_up()
    stretched = coordinates * torch.tensor([5.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(ordered_axes(stretched, x), torch.eye(2, dtype=torch.float64).flip(0))


@pytest.mark.parametrize("angle", [0.4, 1.0, 2.0])
def test_a_rotation_is_undone(angle):
    coordinates, x = rolled_up()
    axes = turned_axes(coordinates @ turned_by(angle), x)
    torch.testing.assert_close(axes.mT @ axes, torch.eye(2, dtype=torch.float64))
    found = coordinates @ turned_by(angle) @ axes[:, 0]
    assert abs(float(torch.corrcoef(torch.stack([found, coordinates[:, 1]]))[0, 1])) > 0.99


def test_more_coordinates_are_turned_by_an_orthogonal_matrix_and_the_first_explains_most():
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(500, 4, dtype=torch.float64, generator=generator)
    x = torch.cat([c.sin(), 2.0 * c[:, 2:3]], dim=1)
    x = x - x.mean(0)
    axes = turned_axes(c, x)
    torch.testing.assert_close(axes.mT @ axes, torch.eye(4, dtype=torch.float64))
    explained = explained_by(c @ axes, x)
    assert float(explained[0]) == pytest.approx(float(explained.max()))
    assert float(explained[0]) >= float(explained_by(c, x).max())
