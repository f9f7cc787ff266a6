"""The chart of a code is in the units of the data: no linear map of the code changes it, nor does a graph's start."""

import math

import pytest
import torch
from torch import nn

from gauges import same_up_to_signs
from nflows_spread.chart.tangents import tangents
from nflows_spread.chart.trustworthiness import trustworthiness_by_row
from nflows_spread.estimator.chart_fitting import chart_of_code
from nflows_spread.estimator.chart_training import geodesic_coordinates
from nflows_spread.linalg.geodesics import isomap
from nflows_spread.models.lifted import lifted_couplings
from nflows_spread.transforms.lifted import LiftedCouplings
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")


class Before(nn.Module):
    """A net of rows that a matrix has mapped."""

    def __init__(self, matrix, net):
        super().__init__()
        self.matrix, self.net = matrix, net

    def forward(self, rows):
        return self.net(rows @ self.matrix)


class After(nn.Module):
    """A net whose outputs a matrix maps."""

    def __init__(self, net, matrix):
        super().__init__()
        self.net, self.matrix = net, matrix

    def forward(self, rows):
        return self.net(rows) @ self.matrix


def couplings_of(features=5, rank=2):
    axes = torch.linalg.qr(torch.randn(features, rank)).Q
    return randomize(lifted_couplings(axes, encoder_features=(8,), decoder_features=(8,)), 0.3)


@pytest.mark.parametrize("stretch", [1.0, 30.0, 1e-3])
def test_no_linear_map_of_the_code_changes_coordinates_or_reconstructions(stretch):
    plain, x = couplings_of(), torch.randn(60, 5)
    matrix = torch.eye(2) + 0.5 * torch.randn(2, 2)
    matrix[:, 1] *= stretch
    encoder, decoder = After(plain.encoder, matrix), Before(torch.linalg.inv(matrix), plain.decoder)
    one, other = (
        chart_of_code(couplings, x) for couplings in (plain, LiftedCouplings(encoder, decoder, features=5, rank=2))
    )
    torch.testing.assert_close(other.variances, one.variances, rtol=1e-8, atol=0)
    same_up_to_signs(other.coordinates(x), one.coordinates(x), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(other.reconstruct(x), one.reconstruct(x), rtol=1e-8, atol=1e-8)


def test_a_step_along_coordinates_is_as_long_as_on_the_manifold_on_average():
    x = torch.randn(60, 5)
    chart = chart_of_code(couplings_of(), x)
    columns = tangents(chart.points, chart.coordinates(x))
    torch.testing.assert_close((columns @ columns.mT).mean(0), torch.eye(2), rtol=0, atol=1e-8)
    assert (chart.maps.forth[5:].mT @ chart.maps.forth[5:] - torch.eye(2)).abs().max() > 0.01  # the code's is another


def test_geodesic_coordinates_are_of_fewer_neighbours_where_many_join_the_turns_of_a_roll():
    generator = torch.Generator().manual_seed(0)
    t, height = torch.rand(2, 450, generator=generator)
    radius = 0.1 + 0.9 * t
    angle = 4.4 * torch.pi * radius
    x = torch.stack([radius * angle.cos(), radius * angle.sin(), 1.5 * height], dim=1)
    many, few = (isomap(x, 2, neighbours=neighbours) for neighbours in (10, 5))
    trusted = [float(trustworthiness_by_row(x, c, x, c).mean()) for c in (many, few)]
    assert trusted[0] < 0.95 < trusted[1]
    found = geodesic_coordinates(x, 2, neighbours=10)
    assert torch.equal(found, few)
    flat = torch.randn(100, 3, generator=generator) * torch.tensor([1.0, 0.5, 0.0])
    assert torch.equal(geodesic_coordinates(flat, 2, neighbours=10), isomap(flat, 2, neighbours=10))


def test_geodesic_coordinates_of_repeated_rows_are_those_of_the_distinct_ones():
    """Of twelve copies each the ten nearest are copies: parts that are joined by single edges."""
    t = torch.rand(150, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angle = 1.5 * math.pi * (1.0 + t[:, 0])
    x = torch.stack([angle * angle.cos(), 10.0 * t[:, 1], angle * angle.sin()], dim=1)
    order = torch.randperm(1800, generator=torch.Generator().manual_seed(1))
    found = geodesic_coordinates(x.repeat(12, 1)[order], 2, neighbours=10)
    expected = geodesic_coordinates(x, 2, neighbours=10)
    of_each = torch.empty_like(expected)
    of_each[order % 150] = found
    torch.testing.assert_close(of_each.abs(), expected.abs(), rtol=1e-6, atol=1e-4)
    assert torch.equal(of_each[order % 150], found)
