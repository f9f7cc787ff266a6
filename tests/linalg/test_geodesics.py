"""Isomap beside scikit-learn's and scipy's shortest paths; parts that are not connected."""

import math

import numpy as np
import pytest
import torch

from nflows_spread.linalg.geodesics import geodesic_distances, isomap


def spiral(rows=200):
    t = torch.linspace(3.0, 12.0, rows)
    return torch.stack([t * t.cos(), t * t.sin()], dim=1)


def test_distances_along_a_curve_are_its_lengths():
    x = spiral()
    steps = (x[1:] - x[:-1]).norm(dim=1)
    found = geodesic_distances(x, 2)
    torch.testing.assert_close(found[0, -1], steps.sum(), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(found, found.mT)
    assert torch.equal(found.diagonal(), torch.zeros(200))


@pytest.mark.parametrize("rank", [1, 3])
def test_coordinates_are_those_of_scikit_learn(rank):
    manifold = pytest.importorskip("sklearn.manifold")
    x = np.random.default_rng(0).normal(size=(150, 4))
    expected = manifold.Isomap(n_neighbors=6, n_components=rank).fit_transform(x)
    found = isomap(torch.as_tensor(x), rank, neighbours=6).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4 * np.abs(expected).max())


def test_a_curve_is_unrolled():
    along = isomap(spiral(), 1, neighbours=4)[:, 0]
    steps = along.diff()
    assert bool((steps > 0).all() or (steps < 0).all())


def test_parts_that_are_not_connected_are_by_their_closest_points():
    line = torch.linspace(0.0, 1.0, 20)
    x = torch.stack([torch.cat([line, line + 5.0, line + 9.0]), torch.zeros(60)], dim=1)
    found = geodesic_distances(x, 3)
    assert bool(found.isfinite().all())
    assert float(found[0, -1]) == pytest.approx(10.0, rel=1e-5)
    assert float(found[19, 20]) == pytest.approx(4.0, rel=1e-5)


def test_the_order_of_rows_moves_distances_along_and_changes_none_though_parts_are_not_connected():
    line = torch.linspace(0.0, 1.0, 20, dtype=torch.float64)
    x = torch.stack([torch.cat([line, line + 5.0, line + 9.0]), torch.zeros(60)], dim=1)
    expected = geodesic_distances(x, 3)
    for order in (torch.arange(60).view(3, 20).mT.flatten(), torch.randperm(60)):
        torch.testing.assert_close(geodesic_distances(x[order], 3), expected[order][:, order])


def test_equal_points_and_more_neighbours_than_points_are_no_trouble():
    found = geodesic_distances(torch.ones(5, 2), 10)
    assert torch.equal(found, torch.zeros(5, 5))
    assert math.isfinite(float(isomap(torch.randn(6, 2), 3, neighbours=10).abs().max()))
