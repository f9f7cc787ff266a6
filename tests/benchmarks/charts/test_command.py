"""The command of the chart benchmark, which goes on where it stopped, and the cells that it fills."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import run
from charts import command, picture, solving
from charts.data_sets import DATA_SETS, FIRST
from charts.measures import ERROR, TRUST
from charts.methods import FLODR, METHODS, OURS, PCA
from charts.model import Method, Model
from charts.solving import DRAWN, Task, solve
from charts.store import Store
from shared import compared
from shared.cells import Cell
from worker_tasks import in_this_process

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("few_components")


def test_the_command_leaves_tables_a_picture_and_a_file_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments = ["--sets", "iris", "circle", "--seeds", "0", "--jobs", "1", "--out", str(tmp_path)]
    assert run.main(["charts", *arguments, "--methods", PCA]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("PCA on") == 2
    assert "all cells are there" in printed.out
    path = tmp_path / "charts.json"
    written = json.loads(path.read_text())
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert written["runs"][0]["command"].startswith("python benchmarks/run.py charts --sets iris circle")
    assert {"flodr", "umap-learn", "scikit-learn"} <= set(written["runs"][0]["versions"])
    assert str(tmp_path) not in path.read_text()
    found = written["results"][PCA]["iris"]["0"]
    assert found["rank_from"] == "neighbours"
    assert (found["rows"], found["features"]) == (120, 4)
    assert {ERROR, TRUST} <= set(found["measures"])

    monkeypatch.setattr(compared, "run_tasks", in_this_process)
    assert command.COMMAND([*arguments, "--methods", PCA, "Isomap", "--max-minutes", "10"]) == 0
    printed = capsys.readouterr()
    assert "PCA on" not in printed.err
    assert printed.err.count("Isomap on") == 2
    again = json.loads(path.read_text())
    assert again["results"][PCA] == written["results"][PCA]
    assert len(again["runs"]) == 2


def test_what_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments in (["--sets", "Moon"], ["--methods", "Oracle"], ["--jobs", "0"]):
        with pytest.raises(SystemExit):
            command.COMMAND([*arguments, "--out", str(tmp_path)])
        assert arguments[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_profiles_name_what_there_is_and_slow_methods_run_on_the_first_sets():
    for profile in command.PROFILES.values():
        assert set(profile.methods) <= set(METHODS)
        assert set(profile.data_sets) <= set(DATA_SETS)
    parsed = command.COMMAND._parser().parse_args(["--profile", "full"])
    cells = command._cells(parsed)
    assert {cell.problem for cell in cells if cell.method == FLODR} == set(FIRST)
    assert {cell.problem for cell in cells if cell.method == OURS} == set(DATA_SETS)
    assert {cell.seed for cell in cells} == {0, 1, 2}


def test_a_cell_is_the_same_again_and_has_the_rank_that_it_is_given():
    task = Task(Cell(1, "S-curve", PCA), 1)
    found, again = solve(task), solve(task)
    assert found["measures"] == again["measures"]
    assert (found["rank"], found["rank_from"]) == (1, "spread flow")
    known = solve(Task(Cell(1, "S-curve", PCA), None))
    assert (known["rank"], known["rank_from"]) == (2, "the set")
    assert known["measures"][ERROR] < found["measures"][ERROR]


def test_a_missing_package_or_file_is_a_reason_and_no_failure(monkeypatch: pytest.MonkeyPatch):
    def absent() -> None:
        raise ModuleNotFoundError("No module named 'flodr'", name="flodr")

    monkeypatch.setattr(solving, "METHODS", {**METHODS, FLODR: Method(lambda *_: Model(1), "flodr", absent)})
    assert solve(Task(Cell(0, "iris", FLODR), 2)) == {"skipped": "not installed: flodr"}
    monkeypatch.delenv("NFLOWS_SPREAD_DATA", raising=False)
    found = solve(Task(Cell(0, "MNIST, pooled", PCA), 2))
    assert "NFLOWS_SPREAD_DATA" in found["skipped"]


def test_what_a_method_refuses_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(solving, "METHODS", {**METHODS, FLODR: Method(METHODS[FLODR].fit)})
    assert solve(Task(Cell(0, "circle", FLODR), 1))["failed"] == "FloDR has at least 2 coordinates"


def test_points_of_the_roll_are_drawn_and_kept_out_of_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plane = Method(lambda x, rank, seed: Model(2, encode=lambda rows: rows[:, :2], sample=lambda n: x[:n].repeat(2, 0)))
    monkeypatch.setattr(solving, "METHODS", {**METHODS, OURS: plane})
    task = Task(Cell(0, "swiss roll", OURS), None)
    found = solve(task)
    assert found[DRAWN]["x"].shape == (1500, 3)
    store = Store.open(tmp_path)
    store.begin({})
    command._put(store, task, found, "1/1")
    assert DRAWN not in store.cells[task.cell]
    with np.load(store.drawn) as content:
        assert content["coordinates"].shape == (1500, 2)
    without, with_points = tmp_path / "without.png", tmp_path / "with.png"
    picture.draw(with_points, store)
    store.drawn.unlink()
    picture.draw(without, store)
    assert with_points.stat().st_size > without.stat().st_size + 10_000
