"""The benchmark command, run for a few steps as a user would run it."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nflows_spread.datasets import Line, Manifold, SCurve
from nflows_spread.training import TrainingState
from paper import experiments
from paper.experiment import OURS, PROFILES, Experiment, Variant
from paper.grids import grid_for
from paper.measures import distance_correlation, representation_quality, total_variation
from paper.schedules import Constant, Cosine, Course, Geometric, Staircase
from paper.settings import digest, settings_of
from run import SHORT_SUITE, main
from shared.records import columns

pytest.importorskip("sklearn")
RULES = {"signal_to_noise", "gap", "rank"}


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment with a handful of steps and samples, at each profile."""
    load = experiments.load

    def shortened(name: str) -> Experiment:
        declared = load(name)
        variants = tuple(variant.also({"steps": 5, "samples": 200}) for variant in declared.variants)
        return replace(declared, variants=variants, profiles={})

    monkeypatch.setattr(experiments, "load", shortened)


def test_list_names_every_experiment_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == experiments.names()
    assert all(len(line.split()) > 3 for line in lines)


def test_the_documentation_has_a_line_for_every_experiment() -> None:
    page = Path(__file__).parents[2] / "docs" / "paper.md"
    if not page.exists():
        pytest.skip("docs/ is in the source tree, and this is not one")
    text = page.read_text(encoding="utf-8")
    assert [name for name in experiments.names() if f"`{name}`" not in text] == []


def test_the_short_suite_is_made_of_experiments() -> None:
    assert set(SHORT_SUITE) <= set(experiments.names())


def test_every_profile_of_every_experiment_is_a_declaration() -> None:
    for name in experiments.names():
        declared = experiments.load(name)
        assert set(declared.profiles) <= set(PROFILES)
        for profile in PROFILES:
            at = declared.at(profile)
            assert at.rows > 0
            settings = [settings_of(at.of(variant)) for variant in at.variants]
            assert json.loads(json.dumps(settings)) == settings
            assert len({digest(at.of(variant)) for variant in at.variants}) == len(at.variants)
            assert "lambda" not in json.dumps(settings)


def test_an_unknown_profile_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="quick, full, paper, got 'long'"):
        experiments.load("line").at("long")


@pytest.mark.usefixtures("short")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fading_square", "entropy"])
def test_an_experiment_on_1024_pixels_runs_to_its_end(name: str, tmp_path: Path) -> None:
    assert main([name, "--out", str(tmp_path)]) == 0
    assert (tmp_path / f"{name}-quick-seed-0.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / f"{name}-quick-seed-0.json").read_text())
    assert all(result["steps"] == 5 for result in written["results"].values())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("name", SHORT_SUITE)
def test_an_experiment_leaves_a_table_a_picture_and_a_json_file(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "--seed", "3", "--out", str(tmp_path)]) == 0
    table = capsys.readouterr().out
    assert "fixed prior" in table
    assert (tmp_path / f"{name}-quick-seed-3.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / f"{name}-quick-seed-3.json").read_text())
    assert written["command"] == f"python benchmarks/run.py {name} --profile quick --seed 3"
    assert written["versions"]["torch"] == torch.__version__
    assert written["finished"]
    assert set(written["results"]) == set(written["settings"]) >= {"our default", "fixed prior"}
    for flow, result in written["results"].items():
        assert set(result["dimension"]) == RULES
        assert result["steps"] == written["settings"][flow]["steps"] == 5
        assert result["schedule_done"] == 1.0
        assert math.isfinite(result["sample_distance"])
        assert (result["held_out_nll"] is None) == (flow == "paper's setting")
    assert not list((tmp_path / "unfinished").glob("*"))
    assert str(tmp_path) not in json.dumps(written)


@pytest.mark.usefixtures("short")
def test_the_same_seed_gives_the_same_numbers_interrupted_or_not(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path / "whole")]) == 0
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    assert main(["line", "--out", str(stopped), "--max-minutes", "1e-9"]) == 0
    unfinished = json.loads((stopped / "line-quick-seed-0.json").read_text())
    assert not unfinished["finished"]
    assert unfinished["results"]["our default"]["schedule_done"] == pytest.approx(1 / 5)
    assert (stopped / "line-quick-seed-0.png").exists()
    assert main(["line", "--out", str(stopped)]) == 0
    numbers = [json.loads((folder / "line-quick-seed-0.json").read_text())["results"] for folder in (whole, stopped)]
    for results in numbers:
        for result in results.values():
            result["seconds"] = None
    assert numbers[0] == numbers[1]


@pytest.mark.usefixtures("short")
def test_ctrl_c_ends_with_a_word_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(state: TrainingState) -> float:
        if state.step == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    load = experiments.load
    for watch in ({"interrupts": interrupt}, {"looks": lambda state: 0.0}):
        monkeypatch.setattr(experiments, "load", lambda name, watch=watch: replace(load(name), watch=watch))
        status = main(["line", "--out", str(tmp_path)])
        assert status == (130 if "interrupts" in watch else 0)
    assert "the same command goes on" in capsys.readouterr().err
    results = json.loads((tmp_path / "line-quick-seed-0.json").read_text())["results"]
    assert {result["steps"] for result in results.values()} == {5}


@pytest.mark.usefixtures("short")
def test_a_fresh_run_does_not_go_on_with_an_interrupted_one(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path), "--max-minutes", "1e-9"]) == 0
    assert main(["line", "--out", str(tmp_path), "--max-minutes", "1e-9", "--fresh"]) == 0
    results = json.loads((tmp_path / "line-quick-seed-0.json").read_text())["results"]
    assert {result["steps"] for result in results.values()} == {1}


@pytest.mark.usefixtures("short")
def test_a_finished_run_keeps_its_checkpoints_only_where_that_is_wished(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path), "--keep"]) == 0
    assert list((tmp_path / "unfinished").rglob("step-*.pt"))
    assert main(["line", "--out", str(tmp_path)]) == 0
    assert not list((tmp_path / "unfinished").rglob("step-*.pt"))


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("broken", ["matplotlib.figure.Figure.savefig", "json.dumps"])
def test_a_result_that_cannot_be_written_is_not_half_written(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails after the first bytes, and the results of an earlier run stay as they were."""
    picture, record = (tmp_path / f"line-quick-seed-0.{ending}" for ending in ("png", "json"))
    picture.write_bytes(b"picture")
    record.write_text("record")

    def fail(*given: object, **options: object) -> None:
        for path in given:
            if isinstance(path, Path):
                path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(broken, fail)
    with pytest.raises((OSError, SystemExit)):
        main(["line", "--out", str(tmp_path)])
    assert record.read_text() == "record"
    assert picture.read_bytes() == b"picture" or broken == "json.dumps"


def test_a_flow_that_diverges_is_reported_and_the_others_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = experiments.load
    short = {"steps": 5, "samples": 200}
    flows = (Variant("diverging", {"learning_rate": Constant(1e30), **short}), OURS.also(short))
    monkeypatch.setattr(experiments, "load", lambda name: replace(load(name), variants=flows))
    assert main(["line", "--out", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "line-quick-seed-0.json").read_text())["results"]
    assert "must stay finite" in results["diverging"]["failed"]
    assert results["our default"]["steps"] == 5


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


@pytest.mark.parametrize(
    ("course", "values"),
    [
        (Constant(0.3), {0: 0.3, 299: 0.3}),
        (Geometric(0.4, 0.1, until=0.5), {0: 0.4, 75: 0.2, 150: 0.1, 299: 0.1}),
        (Cosine(1.0, 0.0), {0: 1.0, 150: 0.5, 300: 0.0}),
        (Staircase(1.0, 0.9, every=1 / 30, after=1 / 3, floor=0.75), {109: 1.0, 110: 0.9, 120: 0.81, 299: 0.75}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_course_goes_by_shares_of_the_steps(course: Course, values: dict[int, float]) -> None:
    for scale in (1, 1000):
        curve = course.over(300 * scale)
        assert [curve(step * scale) for step in values] == pytest.approx(list(values.values()))


def test_a_table_has_a_column_for_each_number_and_no_two_share_a_name() -> None:
    numbers = {"dimension": {"gap": 2, "rank": 3}, "gap": 1.23456, "missing": None, "eigenvalues": [1.0, 2.0]}
    header, rows = columns({"results": {"ours": numbers, "diverged": {"failed": "why"}}})
    assert header == ["flow", "dimension gap", "dimension rank", "gap", "missing", "failed"]
    assert rows == [["ours", "2", "3", "1.235", "–", "–"], ["diverged", "–", "–", "–", "–", "why"]]


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


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "soon"])
def test_minutes_that_are_none_are_refused(minutes, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["line", "--out", str(tmp_path), "--max-minutes", minutes])
    assert "--max-minutes" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["line", "--out", str(tmp_path), "--device", "cuda"])
    assert "CUDA" in capsys.readouterr().err
