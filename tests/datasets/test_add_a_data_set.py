"""How a synthetic data set is added, as the documentation has it: a class, a line for the benchmarks, an experiment."""

from __future__ import annotations

import math
from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from nflows_spread.datasets import Manifold, Points
from nflows_spread.models import coupling_flow
from paper import data_sets
from paper.data_sets import Folders
from paper.experiment import OURS, Experiment
from paper.grids import grid_for
from paper.results import Result
from paper.training import train
from support import refused

pytest.importorskip("scipy")


class Circle:
    """The unit circle in the plane, uniform in its angle in (−π, π)."""

    features: ClassVar[int] = 2
    intrinsic_dimension: ClassVar[int] = 1

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Points:
        angle = math.pi * (2.0 * torch.rand(n, 1, generator=generator) - 1.0)
        return Points(self.embed(angle), angle)

    def embed(self, coordinates: Tensor) -> Tensor:
        return torch.cat([coordinates.cos(), coordinates.sin()], dim=1)

    def log_density(self, coordinates: Tensor) -> Tensor:
        inside = coordinates.abs().squeeze(1) <= math.pi
        return torch.where(inside, -math.log(2.0 * math.pi), -math.inf).to(coordinates.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        return torch.atan2(x[:, 1:], x[:, :1])

    def distance(self, x: Tensor) -> Tensor:
        return (x.norm(dim=1) - 1.0).abs()


circle = partial(data_sets._synthetic, Circle())


def test_a_class_that_says_its_dimensions_points_and_distances_is_a_manifold(tmp_path) -> None:
    known: Manifold = Circle()
    data = circle(0, Folders(None, tmp_path))
    assert data.intrinsic_dimension == 1
    assert data.train.x.shape == (10_000, 2)
    assert known.distance(data.held_out.x).max() < 1e-6
    torch.testing.assert_close(known.nearest(data.held_out.x), data.held_out.coordinates, rtol=0, atol=1e-5)
    grid = grid_for(known, data.cells)
    assert float(grid.truth.sum()) * grid.cell == pytest.approx(1.0, abs=1e-2)


class Torus(Circle):
    """One more coordinate, as far as the cells are concerned."""

    intrinsic_dimension: ClassVar[int] = 2


def test_a_surface_without_cells_is_refused_before_anything_is_trained(tmp_path, monkeypatch) -> None:
    with refused(ValueError, "must have cells for the 2 coordinates of Torus, got ((-4.0, 4.0, 60),)"):
        data_sets._synthetic(Torus(), 0, Folders(None, tmp_path))
    cells = ((-math.pi, math.pi, 10),) * 2
    monkeypatch.setitem(data_sets._CELLS, Torus, cells)
    assert data_sets._synthetic(Torus(), 0, Folders(None, tmp_path)).cells == cells


def test_an_experiment_on_it_has_the_numbers_of_a_manifold(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    experiment = Experiment(data=circle, flow=partial(coupling_flow, 2, layers=2), steps=5, samples=200)
    settings = experiment.of(OURS)
    data = circle(0, Folders(None, tmp_path))
    trained = train(settings, data.train.x, seed=0, device="cpu", max_minutes=None, folder=tmp_path / "run")
    found = Result("circle", settings, data, trained, measures=settings.measures, seed=0).numbers
    assert found["true_dimension"] == 1
    assert {"sample_distance", "total_variation", "rank_correlation"} <= found.keys()
