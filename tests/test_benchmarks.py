"""The benchmark command, run for a few steps as a user would run it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import experiment
from grids import grid_for
from measures import distance_correlation, representation_quality, total_variation
from nflows_spread.datasets import Line, Manifold, SCurve
from run import SHORT_SUITE, main

pytest.importorskip("sklearn")
RULES = {"signal_to_noise", "gap", "rank"}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment with a handful of steps."""
    load = experiment.load
    monkeypatch.setattr(experiment, "load", lambda name: replace(load(name), steps=5))


def test_list_names_every_experiment_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == experiment.names()
    assert all(len(line.split()) > 3 for line in lines)


def test_the_short_suite_is_made_of_experiments() -> None:
    assert set(SHORT_SUITE) <= set(experiment.names())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", SHORT_SUITE)
def test_an_experiment_leaves_a_table_a_picture_and_a_json_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--seed", "3", "--out", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "fixed prior" in table
    assert (tmp_path / f"{name}-seed-3.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / f"{name}-seed-3.json").read_text())
    assert written["command"] == f"python benchmarks/run.py {name} --seed 3"
    assert written["versions"]["torch"] == torch.__version__
    assert set(written["results"]) == {"spread", "fixed prior"}
    for result in written["results"].values():
        assert set(result["dimension"]) == RULES
        assert result["steps"] == 5
        assert math.isfinite(result["sample_distance"])
        assert math.isfinite(result["held_out_nll"])


@pytest.mark.usefixtures("short")
def test_the_same_seed_gives_the_same_numbers(tmp_path: Path) -> None:
    found = []
    for run in ("first", "second"):
        assert main(["line", "--out", str(tmp_path / run)]) == 0
        results = json.loads((tmp_path / run / "line-seed-0.json").read_text())["results"]
        found.append({flow: {**result, "seconds": None} for flow, result in results.items()})
    assert found[0] == found[1]


def test_an_unknown_experiment_is_refused_with_the_names_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["moebius", "--out", str(tmp_path / "out")])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "'moebius'" in message
    assert "sine" in message
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("mine")
    with pytest.raises(SystemExit) as stopped:
        main(["line", "--out", str(occupied)])
    assert stopped.value.code == 2
    assert "--out" in capsys.readouterr().err
    assert occupied.read_text() == "mine"


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


@pytest.mark.parametrize("manifold", [Line(), SCurve()], ids=["line", "s-curve"])
def test_the_histogram_of_true_points_is_the_true_density(manifold: Manifold) -> None:
    grid = grid_for(manifold)
    assert float(grid.truth.sum()) * grid.cell == pytest.approx(1.0, abs=1e-3)
    x = manifold.sample(20_000, generator=torch.Generator().manual_seed(0)).x
    found = grid.histogram(manifold.nearest(x))
    assert found.shape == grid.truth.shape
    assert total_variation(found, grid.truth, grid.cell) < 0.04
    width = float(grid.position[1] - grid.position[0])
    assert float(grid.marginal(found).sum()) * width == pytest.approx(1.0, abs=1e-3)
