"""The command of the experiments, run for a few steps as a user would run it."""

from __future__ import annotations

import json
import math
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nflows_spread.dimension import RULES
from nflows_spread.training import Constant, TrainingState
from paper import experiments
from paper.command import SHORT_SUITE
from paper.experiment import FIXED_PRIOR, OURS, Experiment, Variant
from run import main

pytest.importorskip("sklearn")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment with a handful of steps and samples and a spectrum from a few points, at each profile."""
    monkeypatch.setattr("paper.results._SPECTRUM_POINTS", 100)
    load = experiments.load

    def shortened(name: str) -> Experiment:
        declared = load(name)
        variants = tuple(variant.also({"steps": 5, "samples": 200}) for variant in declared.variants)
        return replace(declared, variants=variants, profiles={})

    monkeypatch.setattr(experiments, "load", shortened)


@pytest.fixture
def two_rows(short: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each experiment our default and the fixed prior, with a panel each: what is asked is not of rows or panels."""
    load = experiments.load
    names = (OURS.name, FIXED_PRIOR.name)

    def of_two_rows(name: str) -> Experiment:
        declared = load(name).with_rows(names)
        return replace(declared, panels=declared.panels[:1], together=())

    monkeypatch.setattr(experiments, "load", of_two_rows)


def test_list_names_every_experiment_with_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    experiment_lines, others = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert [line.split()[0] for line in experiment_lines] == experiments.names()
    assert all(len(line.split()) > 3 for line in experiment_lines)
    own = "calibration-table, dimension-cost, dimension-against-scale"
    rest = "charts, rivals, rivals-tuning, performance, stale, refresh"
    assert f"intrinsic-dimension, pointwise-dimension, {own}, {rest}" in " ".join(others)


@pytest.mark.usefixtures("short")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fading_square", "entropy"])
def test_an_experiment_on_1024_pixels_runs_to_its_end(name: str, tmp_path: Path) -> None:
    assert main([name, "--out", str(tmp_path)]) == 0
    assert (tmp_path / f"{name}-quick-seed-0.png").read_bytes().startswith(b"\x89PNG")
    written = json.loads((tmp_path / f"{name}-quick-seed-0.json").read_text())
    assert all(result["steps"] == 5 for result in written["results"].values())


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    "name",  # the line's panels are the sine's, and tests below run it with two of its rows
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "line")) for name in SHORT_SUITE],
)
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
        assert set(result["dimension"]) == set(RULES)
        assert result["steps"] == written["settings"][flow]["steps"] == 5
        assert result["schedule_done"] == 1.0
        assert math.isfinite(result["sample_distance"])
        assert (result["held_out_nll"] is None) == (flow == "paper's setting")
    assert not list((tmp_path / "unfinished").glob("*"))
    assert str(tmp_path) not in json.dumps(written)


@pytest.mark.usefixtures("two_rows")
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


@pytest.mark.usefixtures("two_rows")
def test_a_row_alone_has_the_numbers_that_it_has_among_the_others(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path)]) == 0
    assert main(["line", "--out", str(tmp_path), "--only", "our default"]) == 0
    alone = json.loads((tmp_path / "line-quick-seed-0-our-default.json").read_text())
    assert (tmp_path / "line-quick-seed-0-our-default.png").exists()
    assert alone["command"] == "python benchmarks/run.py line --profile quick --seed 0 --only 'our default'"
    among = json.loads((tmp_path / "line-quick-seed-0.json").read_text())
    assert list(alone["results"]) == list(alone["settings"]) == ["our default"]
    for record in (alone, among):
        record["results"]["our default"]["seconds"] = None
    assert alone["results"]["our default"] == among["results"]["our default"]


@pytest.mark.usefixtures("short")
def test_a_row_that_is_no_flow_is_in_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = experiments.load
    row = {"a mean": lambda data, seed: {"mean": float(data.train.x.mean()), "seed": seed}}
    monkeypatch.setattr(experiments, "load", lambda name: replace(load(name), baselines=row))
    assert main(["line", "--seed", "3", "--out", str(tmp_path), "--only", "a mean"]) == 0
    written = json.loads((tmp_path / "line-quick-seed-3-a-mean.json").read_text())
    assert list(written["results"]) == ["a mean"]
    assert written["results"]["a mean"]["seed"] == 3
    assert not (tmp_path / "line-quick-seed-3-a-mean.png").exists()


def test_an_unknown_row_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["line", "--out", str(tmp_path / "out"), "--only", "a sphere"])
    assert "--only must be one of" in (message := capsys.readouterr().err)
    assert "'our default'" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("two_rows")
def test_ctrl_c_ends_with_a_word_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(state: TrainingState) -> float:
        if state.step == 3:
            signal.raise_signal(signal.SIGINT)
        return 0.0

    load = experiments.load
    for track in ({"interrupts": interrupt}, {"only records": lambda state: 0.0}):
        monkeypatch.setattr(experiments, "load", lambda name, track=track: replace(load(name), track=track))
        status = main(["line", "--out", str(tmp_path)])
        assert status == (130 if "interrupts" in track else 0)
    assert "the same command goes on" in capsys.readouterr().err
    results = json.loads((tmp_path / "line-quick-seed-0.json").read_text())["results"]
    assert {result["steps"] for result in results.values()} == {5}


@pytest.mark.usefixtures("two_rows")
def test_a_fresh_run_does_not_go_on_with_an_interrupted_one(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path), "--max-minutes", "1e-9"]) == 0
    assert main(["line", "--out", str(tmp_path), "--max-minutes", "1e-9", "--fresh"]) == 0
    results = json.loads((tmp_path / "line-quick-seed-0.json").read_text())["results"]
    assert {result["steps"] for result in results.values()} == {1}


@pytest.mark.usefixtures("two_rows")
def test_a_finished_run_keeps_its_checkpoints_only_where_that_is_wished(tmp_path: Path) -> None:
    assert main(["line", "--out", str(tmp_path), "--keep"]) == 0
    assert list((tmp_path / "unfinished").rglob("step-*.pt"))
    assert main(["line", "--out", str(tmp_path)]) == 0
    assert not list((tmp_path / "unfinished").rglob("step-*.pt"))


@pytest.mark.usefixtures("two_rows")
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
