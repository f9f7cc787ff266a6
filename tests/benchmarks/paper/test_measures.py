"""Numbers that say how good a flow is, against closed forms and known sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nflows_spread.datasets import FadingSquare
from paper import data_sets
from paper.data_sets import DataSet, Folders
from paper.grids import grid_for
from paper.measures import distance_correlation, energy_off_square, representation_quality, total_variation

pytest.importorskip("sklearn")


def test_total_variation_is_half_the_distance_and_counts_what_lies_outside() -> None:
    cell = 0.5
    truth = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert total_variation(truth, truth, cell) == 0.0
    assert total_variation(truth.flip(0), truth, cell) == pytest.approx(1.0)
    assert total_variation(truth / 2, truth, cell) == pytest.approx(0.5)  # half of it lies elsewhere


def test_a_perfect_representation_has_quality_one_and_noise_has_not() -> None:
    generator = torch.Generator().manual_seed(0)
    curve, surface = torch.randn(400, 1, generator=generator), torch.rand(400, 2, generator=generator)
    turned = surface @ torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    assert representation_quality(-curve.exp(), curve)["rank_correlation"] == pytest.approx(1.0)
    assert all(value == pytest.approx(1.0, abs=1e-6) for value in representation_quality(turned, surface).values())
    noise = torch.randn(400, 2, generator=generator)
    assert all(value < 0.7 for value in representation_quality(noise, surface).values())
    assert representation_quality(noise[:, :1], curve)["rank_correlation"] < 0.2


def test_the_distance_correlation_of_a_straight_line_with_its_square_is_known() -> None:
    x = torch.tensor([[-1.0], [0.0], [1.0]], dtype=torch.float64)
    assert distance_correlation(x, x) == pytest.approx(1.0)
    expected = _distance_correlation_by_sums(x[:, 0].tolist(), x[:, 0].square().tolist())
    assert distance_correlation(x, x.square()) == pytest.approx(expected)


@pytest.mark.parametrize("coordinates", [1, 2])
def test_a_representation_far_from_the_origin_is_as_good_as_one_near_it(coordinates: int) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(300, coordinates, generator=generator, dtype=torch.float64)
    found = truth + 0.05 * torch.rand(300, coordinates, generator=generator, dtype=torch.float64)
    here, there = representation_quality(found, truth), representation_quality(found + 1e9, truth - 1e9)
    assert here
    assert there == pytest.approx(here, rel=1e-6)


def _distance_correlation_by_sums(x: list[float], y: list[float]) -> float:
    """Székely's second form, dCov² = S1 + S2 − 2 S3, with plain sums."""

    def covariance(a: list[float], b: list[float]) -> float:
        n = len(a)
        pairs = [(abs(a[i] - a[j]), abs(b[i] - b[j]), i) for i in range(n) for j in range(n)]
        s1 = sum(p * q for p, q, _ in pairs) / n**2
        s2 = sum(p for p, _, _ in pairs) / n**2 * sum(q for _, q, _ in pairs) / n**2
        s3 = sum(sum(p for p, _, i in pairs if i == k) * sum(q for _, q, i in pairs if i == k) for k in range(n)) / n**3
        return s1 + s2 - 2 * s3

    return (covariance(x, y) / (covariance(x, x) * covariance(y, y)) ** 0.5) ** 0.5


@pytest.mark.parametrize("data_set", [data_sets.line, data_sets.s_curve], ids=["line", "s-curve"])
def test_the_histogram_of_true_points_is_the_true_density(data_set: Callable[..., DataSet], tmp_path: Path) -> None:
    data = data_set(0, Folders(None, tmp_path))
    manifold = data.manifold
    assert manifold is not None
    grid = grid_for(manifold, data.cells)
    assert float(grid.truth.sum()) * grid.cell == pytest.approx(1.0, abs=1e-3)
    x = manifold.sample(20_000, generator=torch.Generator().manual_seed(0)).x
    found = grid.histogram(manifold.nearest(x))
    assert found.shape == grid.truth.shape
    assert total_variation(found, grid.truth, grid.cell) < 0.04
    width = float(grid.position[1] - grid.position[0])
    assert float(grid.marginal(found).sum()) * width == pytest.approx(1.0, abs=1e-3)


def test_energy_off_the_square_is_0_for_data_and_known_for_flat_images() -> None:
    data = FadingSquare().sample(100, generator=torch.Generator().manual_seed(0)).x
    assert energy_off_square(SimpleNamespace(samples=data)) == {
        "energy_off_square": 0.0,
        "median_energy_off_square": 0.0,
    }
    flat = energy_off_square(SimpleNamespace(samples=torch.ones(5, 1024)))
    assert list(flat.values()) == pytest.approx([1 - 36 / 1024] * 2)
    spotted = FadingSquare().embed(torch.ones(3, 1))
    spotted[0, 0] = 2.0  # of energy 4, beside 36 pixels of energy 1
    off = energy_off_square(SimpleNamespace(samples=spotted))
    assert off == {"energy_off_square": pytest.approx(4 / 112), "median_energy_off_square": 0.0}
