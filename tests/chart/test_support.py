"""Support of coordinates: rows hold, gaps between dense and sparse parts do not, and draws outside are drawn again."""

import math

import pytest
import torch

from nflows_spread.chart.ranges import Ranges
from nflows_spread.chart.support import Support


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def ring(rows, seed=0):
    angle = 2.0 * math.pi * torch.rand(rows, generator=generator(seed), dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], 1)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_new_rows_of_the_same_density_are_mostly_in_it(dimensions):
    x = torch.randn(3000, dimensions, generator=generator(), dtype=torch.float64)
    support = Support.of(x[:2000], generator())
    assert float(support.hold(x[:2000]).double().mean()) == 1.0
    assert float(support.hold(x[2000:]).double().mean()) > 0.97


def test_the_middle_of_a_ring_and_what_is_far_outside_are_not():
    support = Support.of(ring(500), generator())
    assert bool(support.hold(ring(200, seed=1)).double().mean() > 0.98)
    assert not bool(support.hold(torch.tensor([[0.0, 0.0], [0.5, 0.0], [3.0, 0.0]]).double()).any())


def test_it_is_as_wide_as_rows_are_sparse():
    """The second of two squares is a hundred times as wide: a step beside it is far beside the first."""
    square = torch.rand(400, 2, generator=generator(), dtype=torch.float64)
    support = Support.of(torch.cat([square, 100.0 * square + 50.0]), generator())
    step = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    edge = square[square[:, 0].argmax()]
    assert not bool(support.hold(edge + step))
    assert bool(support.hold(100.0 * edge + 50.0 + step))


def test_units_do_not_change_it():
    x, points = ring(300), 1.5 * torch.randn(500, 2, generator=generator(1), dtype=torch.float64)
    held = Support.of(x, generator()).hold(points)
    assert torch.equal(Support.of(1024.0 * x, generator()).hold(1024.0 * points), held)
    assert 0.0 < float(held.double().mean()) < 1.0


def test_repeated_rows_count_once_and_a_single_one_has_none():
    x = ring(50)
    assert torch.equal(
        Support.of(x.repeat(20, 1), generator()).radii.sort().values, Support.of(x, generator()).radii.sort().values
    )
    assert Support.of(torch.ones(9, 2), generator()) is None


def test_draws_outside_are_drawn_again():
    x = ring(500)
    support, normal = Support.of(x, generator()), generator(2)

    def again(index):
        return torch.randn(len(index), 2, generator=normal, dtype=torch.float64)

    drawn = Ranges.of(x).within(again(torch.arange(300)), again, support=support)
    alone = Ranges.of(x).within(again(torch.arange(300)), again)
    assert float(support.hold(drawn).double().mean()) > 2.0 * float(support.hold(alone).double().mean())


@pytest.mark.parametrize("rows", [2, 7, 60])
def test_radii_are_those_of_their_definition(rows):
    """By sorting all distances: r ρ_i, ρ_i that to the tenth neighbour or the last, r the 0.99 quantile of d / ρ."""
    support = Support.of(torch.randn(rows, 2, generator=generator(), dtype=torch.float64), generator())
    distances, order = torch.cdist(support.rows, support.rows).sort(dim=1)
    to_tenth = distances[:, min(10, rows - 1)]
    ratio = torch.quantile(distances[:, 1] / to_tenth[order[:, 1]], 0.99)
    torch.testing.assert_close(support.radii, ratio * to_tenth, rtol=1e-6, atol=1e-9)
