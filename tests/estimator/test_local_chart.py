"""Local charts: surfaces that are quadratic are found, coordinates are the piece's own, and surfaces end."""

import math

import torch

from nflows_spread.estimator.local_chart import PENALTIES, local_charts


def paraboloid(rows, seed=0):
    """z = (u² − 3 u v) / 4 above a patch of the plane, (rows, 3), and its second derivatives."""
    generator = torch.Generator().manual_seed(seed)
    u, v = 0.5 * torch.randn(2, rows, generator=generator, dtype=torch.float64)
    return torch.stack([u, v, (u.square() - 3.0 * u * v) / 4.0], dim=1)


def charts_of(x, rank):
    centred = x - x.mean(0)
    return local_charts(x, x.mean(0), centred.mT @ centred / len(x) + 1e-9 * torch.eye(x.shape[1]), rank)


def test_a_quadratic_surface_is_found_up_to_the_turn_of_its_axes():
    x = paraboloid(500)
    bent, flat = charts_of(x, 2)[0], charts_of(x, 2)[-1]
    there = paraboloid(200, seed=1)
    there = there[bent.ranges.hold(bent.coordinates(there))]

    def error(chart):
        return float((chart.points(chart.coordinates(there)) - there).square().sum(1).mean().sqrt())

    # principal axes are turned out of the plane a little, where the surface is no longer exactly quadratic
    assert error(bent) < 0.2 * error(flat)
    assert PENALTIES[-1] == math.inf


def test_a_plane_is_found_exactly_with_coordinates_of_variance_one():
    generator = torch.Generator().manual_seed(0)
    spanned = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.5, 2.0]], dtype=torch.float64)
    x = 7.0 + torch.randn(400, 2, generator=generator, dtype=torch.float64) @ spanned
    for chart in charts_of(x, 2):
        c = chart.coordinates(x)
        torch.testing.assert_close(chart.points(c), x, atol=1e-6, rtol=0.0)
        torch.testing.assert_close(c.mT @ c / len(c), torch.eye(2, dtype=torch.float64), atol=1e-6, rtol=0.0)


def test_the_surface_ends_where_its_rows_do():
    chart = charts_of(paraboloid(300), 2)[0]
    far = torch.tensor([[1e6, -1e6]], dtype=torch.float64)
    torch.testing.assert_close(chart.points(far), chart.points(chart.ends.cut(far)))
    assert float(chart.points(far).abs().max()) < 50.0


def test_many_coordinates_leave_a_plane():
    x = torch.randn(300, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    first, *others = charts_of(x, 15)
    assert first.surface.weight.shape == (15, 20)
    for other in others:
        torch.testing.assert_close(first.surface.weight, other.surface.weight)


def test_one_row_is_a_point():
    x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    for chart in local_charts(x, x[0], torch.eye(2, dtype=torch.float64), 1):
        torch.testing.assert_close(chart.points(torch.zeros(1, 1, dtype=torch.float64)), x)
