"""The command of the benchmark of rivals: ours first, its time as budget, a table, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import run
from baselines.budgeted_training import Budget
from charts.model import Model
from rivals import command, solving, tuning
from rivals.data_sets import DATA_SETS, FIRST, TUNING
from rivals.measures import COLUMNS
from rivals.methods import METHODS, OURS
from rivals.rival import Rival
from rivals.solving import Task, solve
from rivals.store import Store
from rivals.summary import HEADS, comparison, table
from shared import compared
from shared.cells import Cell, CellFile
from worker_tasks import in_this_process

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytestmark = pytest.mark.usefixtures("few_components")


def found(rank: int, seconds: float, **measures: float) -> dict:
    return {"rank": rank, "processor_seconds": seconds, "measures": measures, "notes": {"parameters": 5}}


def test_profiles_name_what_there_is():
    for profile in command.PROFILES.values():
        assert set(profile.data_sets) <= set(DATA_SETS)
        assert set(profile.methods) <= set(METHODS)
    assert command.PROFILES["first"].data_sets == FIRST
    assert set(HEADS) <= set(COLUMNS)
    assert not set(TUNING) & set(DATA_SETS)


def test_what_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments in (["--sets", "Moon"], ["--methods", "Oracle"], ["--jobs", "0"]):
        with pytest.raises(SystemExit):
            command.COMMAND([*arguments, "--out", str(tmp_path)])
        assert arguments[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_time_of_ours_is_the_budget_and_other_times_make_cells_missing(tmp_path: Path):
    store = Store.open(tmp_path)
    store.begin({})
    ours, theirs = Cell(0, "EEG", OURS), Cell(0, "EEG", "M-flow")
    assert store.task(theirs) is None
    store.put(ours, found(3, 5.5))
    assert store.task(theirs) == Task(theirs, 3, 5.5)
    store.put(theirs, {**found(3, 5.6), "budget": 5.5})
    assert store.missing([ours, theirs]) == []
    store.put(ours, found(3, 7.0))
    assert store.missing([ours, theirs]) == [theirs]


def test_a_cell_has_the_true_dimension_and_so_many_times_the_seconds(monkeypatch: pytest.MonkeyPatch):
    asked = []

    def fit(x: np.ndarray, rank: int, seed: int, budget: Budget, **settings: float) -> Model:
        asked.append((rank, seed, budget.seconds, settings))
        return Model(rank, encode=lambda rows: rows[:, :rank])

    monkeypatch.setattr(solving, "METHODS", {"toy": Rival(fit, "nobody", times=8.0)})
    result = solve(Task(Cell(1, "sphere", "toy"), 7, 0.5, {"rate": 2.0}))
    assert (result["rank"], result["given_rank"], result["budget"]) == (2, 2, 0.5)
    assert solve(Task(Cell(1, "iris, standardized", "toy"), 3, 0.5))["rank"] == 3
    assert asked == [(2, 1, 4.0, {"rate": 2.0}), (3, 1, 4.0, {})]


def test_the_table_says_what_is_given_and_where_theirs_is_better(tmp_path: Path):
    store = Store.open(tmp_path)
    store.begin({})
    for seed, distance in ((0, 0.1), (1, 0.3), (2, 0.2)):
        store.put(Cell(seed, "sine", OURS), found(1, 5.0, distance=distance, error=0.02, coverage=0.5))
    store.put(Cell(0, "sine", "M-flow"), found(1, 5.0, distance=0.3, error=0.01, coverage=1.1))
    store.put(Cell(0, "sine", "PCA"), {"rank": 1, "failed": "no reason"})
    written = table(store)
    assert "| sine | 1 | spread flow | 1 found | 0.200 |" in written
    assert "| sine | 1 | M-flow | 1 given | 0.300 |" in written
    assert "- PCA on sine: no reason" in written
    better = {name: by_method["M-flow"]["theirs_is_better_on"] for name, by_method in comparison(store).items()}
    assert better == {"distance": [], "error": ["sine"], "coverage": ["sine"]}


def test_the_command_leaves_a_table_a_picture_and_a_file_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(compared, "run_tasks", in_this_process)
    store = Store.open(tmp_path)
    store.begin({})
    store.put(Cell(0, "sine", OURS), found(1, 0.5, distance=0.1))
    store.write()
    arguments = ["rivals", "--sets", "sine", "--seeds", "0", "--methods", "PCA", "--out", str(tmp_path)]
    assert run.main(arguments) == 0
    printed = capsys.readouterr()
    assert printed.err.count("PCA on sine") == 1
    assert "all cells are there" in printed.out
    written = json.loads((tmp_path / "rivals.json").read_text())
    assert written["results"]["PCA"]["sine"]["0"]["given_rank"] == 1
    assert written["methods"]["M-flow"]["reference"] == "Brehmer and Cranmer, NeurIPS 2020"
    assert (tmp_path / "rivals.png").read_bytes().startswith(b"\x89PNG")
    assert "| sine | 1 | PCA | 1 given |" in (tmp_path / "rivals.md").read_text()
    assert run.main(arguments) == 0
    assert "PCA on sine" not in capsys.readouterr().err


def test_tuning_takes_the_best_of_each_setting_and_fits_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fits = []

    def fitted(known: object, name: str, seed: int, settings: dict[str, float]) -> dict:
        fits.append(dict(settings))
        off = 1.0 + abs(settings["rate"] - 2.0) + abs(settings["weight"] - 30.0)
        return {"measures": dict.fromkeys(("error", "distance", "density"), 0.01 * off)}

    def fit(x: object, rank: int, seed: int, budget: Budget, *, rate: float = 1.0, weight: float = 10.0) -> Model:
        raise AssertionError

    toy = Rival(fit, "nobody", tried={"rate": (1.0, 2.0, 3.0), "weight": (20.0, 10.0, 30.0)})
    monkeypatch.setattr(tuning, "AT_EQUAL_TIME", {"toy": toy})
    monkeypatch.setattr(tuning, "_fitted", fitted)
    store = CellFile(tmp_path / "tuning.json", {}, {name: {} for name in TUNING}, kind="sets")
    store.begin({})
    assert tuning.tune(store, "toy", 0) == {"rate": 2.0, "weight": 30.0}
    assert len(fits) == 5 * len(TUNING)


def test_a_system_without_coordinates_is_judged_by_its_samples(monkeypatch: pytest.MonkeyPatch):
    def fit(x: np.ndarray, rank: int, seed: int, budget: Budget, *, rate: float = 1.0) -> Model:
        return Model(x.shape[1], sample=lambda count: x[:count])

    judged_by = ("distance", "coverage")
    toy = Rival(fit, "nobody", rank="none", tried={"rate": (1.0,)}, judged_by=judged_by)
    monkeypatch.setattr(tuning, "AT_EQUAL_TIME", {"toy": toy})
    measures = tuning._fitted(TUNING["hills 2 in 3"], "toy", 0, {"rate": 1.0})["measures"]
    assert set(measures) == set(judged_by)
    assert measures["distance"] < 1e-6
    assert measures["coverage"] == pytest.approx(1.0)


def test_what_earlier_searches_chose_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tuning, "tune", lambda store, name, seed: {"learning_rate": 1.0})
    path = tmp_path / "rivals-tuning.json"
    for method in ("M-flow", "two-stage VAE"):
        assert run.main(["rivals-tuning", "--methods", method, "--out", str(tmp_path)]) == 0
    assert set(json.loads(path.read_text())["summary"]["chosen"]) == {"M-flow", "two-stage VAE"}
