"""Rows in order, as of a time series: paths are told from the same rows shuffled, from meshes and from sorting."""

import math

import pytest
import torch

from nflows_spread.dimension.time_order import along_a_path

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mesh(*sides):
    return torch.cartesian_prod(*(torch.linspace(0.0, 1.0, side) for side in sides)).view(math.prod(sides), -1)


def wave(t):
    return torch.stack([t.sin(), (1.7 * t).cos(), (2.3 * t).sin()], dim=1)


def helix(t):
    return torch.stack([t.cos(), t.sin(), t], dim=1)


@pytest.mark.parametrize("curve", [wave, helix], ids=["wave", "helix"])
def test_rows_along_a_path_are_told_from_the_same_rows_in_another_order(curve):
    x = curve(torch.linspace(0.0, 20.0, 800))
    assert along_a_path(x)
    assert along_a_path(1e4 + 1e-3 * x)
    assert not along_a_path(x[torch.randperm(len(x), generator=seeded())])


def speeding_up(n):
    angle = torch.linspace(0.0, 5.0, n).cumsum(0) * 4.0 / n
    return torch.stack([angle.cos(), angle.sin(), (0.3 * angle).sin()], dim=1)


def test_a_path_whose_speed_varies_and_one_that_stands_still_at_times_are_paths():
    x = speeding_up(600)
    steps = x.diff(dim=0).norm(dim=1)
    assert float((steps > 1.9 * steps.median()).double().mean()) > 0.02  # or the speed hardly varies
    assert along_a_path(x)
    held = x.repeat_interleave(3, dim=0)
    assert along_a_path(held)
    assert not along_a_path(held[torch.randperm(len(held), generator=seeded())])


def test_a_spiking_oscillation_is_a_path():
    t = torch.arange(900) * 0.01
    x = torch.stack([(6.0 * t.sin()).exp(), t.cos(), (0.7 * t).sin()], dim=1)
    steps = x.diff(dim=0).norm(dim=1)
    assert float((steps > 5.0 * steps.median()).double().mean()) > 0.1
    assert along_a_path(x)


@pytest.mark.parametrize(("w", "n"), [(0.1, 1900), (0.1, 2100)])
def test_a_path_that_comes_back_beside_itself_is_one_while_its_own_rows_are_often_the_nearest(w, n):
    t = w * torch.arange(n)
    slow = 0.5 * (5.0**0.5 - 1.0) * t
    assert along_a_path(torch.stack([t.cos(), t.sin(), slow.cos(), slow.sin()], dim=1))


@pytest.mark.parametrize("dimension", [2, 5, 20])
def test_draws_sorted_by_a_column_wider_than_the_others_are_no_path(dimension):
    x = torch.randn(300, dimension, generator=seeded(dimension))
    x[:, 0] *= 10.0
    assert not along_a_path(x[x[:, 0].argsort()])


@pytest.mark.parametrize("sides", [(32, 32), (20, 80), (10, 10, 10), (120, 120)])
def test_the_lines_of_a_mesh_are_no_path(sides):
    assert not along_a_path(mesh(*sides))


def test_draws_sorted_by_a_column_are_no_path():
    x = torch.rand(1000, 2, generator=seeded()) @ torch.tensor([[1.0, 0.3, 0.2], [0.0, 1.0, 0.5]])
    assert not along_a_path(x[x[:, 0].argsort()])
    line = x[:, :1] * torch.tensor([1.0, 2.0])
    assert not along_a_path(line[line[:, 0].argsort()])
