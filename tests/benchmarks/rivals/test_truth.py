"""Known manifolds: distances and densities beside formulas, and nearest points that are nearest."""

from __future__ import annotations

import math

import pytest
import torch

from rivals.data_sets import DATA_SETS, TUNING
from rivals.truth import Parametrised

pytest.importorskip("sklearn")
KNOWN = {name: known for name, known in {**DATA_SETS, **TUNING}.items() if known.truth is not None}


def rows(name: str, count: int = 40) -> torch.Tensor:
    return torch.as_tensor(KNOWN[name].data.load(0))[:count]


TRAINED = "synthetic digits 5"
"""Whose first reading trains an autoencoder for ten seconds and more."""


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == TRAINED else n for n in KNOWN])
def test_rows_of_the_set_lie_on_its_manifold_and_moved_ones_do_not(name: str):
    x = rows(name)
    assert float(KNOWN[name].truth.distances(x).max()) < 1e-6 * float(x.std())
    moved = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    distances = KNOWN[name].truth.distances(moved)
    assert bool((distances <= (moved - x).norm(dim=1) + 1e-12).all())
    assert float(distances.median()) > 0.01


@pytest.mark.parametrize("name", ["sine", "S-curve", "swiss roll", "sphere", "torus"])
def test_densities_are_those_of_formulas(name: str):
    x = rows(name)
    t = x[:, 0]
    expected = {
        "sine": lambda: -0.5 * (t.square() + math.log(2 * math.pi) + (1 + (2 * (2 * t).cos()).square()).log()),
        "S-curve": lambda: torch.full_like(t, -math.log(6 * math.pi)),
        "swiss roll": lambda: -torch.log(3 * math.pi * 21 * (1 + x[:, [0, 2]].square().sum(1)).sqrt()),
        "sphere": lambda: torch.full_like(t, -math.log(4 * math.pi)),
        "torus": lambda: -torch.log(4 * math.pi**2 * x[:, :2].norm(dim=1)),  # the distance from the axis is 2 + cos v
    }[name]()
    found = KNOWN[name].truth.log_densities(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_nearest_point_of_a_smooth_set_is_seen_at_a_right_angle_and_is_nearer_than_any_drawn():
    truth = KNOWN["smooth 5 in 20"].truth
    assert isinstance(truth, Parametrised)
    x = rows("smooth 5 in 20", 20)
    x = x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    nearest = truth.nearest(x)
    inside = nearest.abs().amax(1) < 0.99
    pulled = (truth._jacobians(nearest).mT @ (x - truth.embed(nearest)).unsqueeze(2)).squeeze(2)
    assert int(inside.sum()) > 3
    assert float(pulled[inside].norm(dim=1).max()) < 1e-4
    drawn = truth.embed(truth.draw(5000, torch.Generator().manual_seed(5)))
    assert bool((truth.distances(x) <= torch.cdist(x, drawn).amin(1) + 1e-9).all())


def test_two_pieces_of_different_dimension_have_distances_and_no_density():
    truth = KNOWN["helix and hemisphere"].truth
    x = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, -1.0], [2.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(truth.distances(x), torch.tensor([0.5, math.sqrt(2.0), 1.0], dtype=torch.float64))
    assert truth.log_densities(x) is None
