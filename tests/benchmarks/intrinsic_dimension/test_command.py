"""The command of the intrinsic-dimension benchmark, which goes on where it stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import run
from intrinsic_dimension import command
from intrinsic_dimension.estimators import ESTIMATORS
from intrinsic_dimension.manifold_sets import problems
from intrinsic_dimension.store import Setting
from shared.cells import Cell
from worker_tasks import in_this_process

pytest.importorskip("skdim")
pytest.importorskip("pandas")
BENCHMARK, HELD = problems("benchmark"), problems("held-out")


def test_the_command_leaves_a_table_a_picture_and_a_file_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    arguments = ["--points", "60", "--manifolds", "M7_Roll", "M13b_Spiral", "--jobs", "1", "--out", str(tmp_path)]
    assert run.main(["intrinsic-dimension", *arguments, "--estimators", "TwoNN"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("TwoNN on") == 2
    assert "1 of 2" in printed.out or "2 of 2" in printed.out
    path = tmp_path / "intrinsic-dimension-benchmark-60.json"
    written = json.loads(path.read_text())
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert written["runs"][0]["command"].startswith("python benchmarks/run.py intrinsic-dimension --points 60")
    assert str(tmp_path) not in path.read_text()
    assert set(written["summary"]["TwoNN"]) >= {"exact", "mean_relative_error", "median_seconds"}

    with monkeypatch.context() as patched:
        patched.setattr(command, "run_tasks", in_this_process)
        assert command.COMMAND([*arguments, "--estimators", "TwoNN", "MLE"]) == 0
    printed = capsys.readouterr()
    assert "TwoNN on" not in printed.err
    assert printed.err.count("MLE on") == 2
    again = json.loads(path.read_text())
    assert again["results"]["TwoNN"] == written["results"]["TwoNN"]
    assert len(again["runs"]) == 2

    assert command.COMMAND([*arguments, "--estimators", "TwoNN", "--max-minutes", "1e-9", "--fresh"]) == 0
    assert "2 of 2 estimates are left" in capsys.readouterr().out


def test_the_points_of_a_cell_do_not_depend_on_the_run(tmp_path: Path):
    setting = Setting("held-out", 80, 0.05)
    for manifold in ("trefoil knot", "klein bottle"):
        task = command.Task(Cell(1, next(name for name in HELD if name.lower() == manifold), "TwoNN"), setting)
        assert command.solve(task)["estimate"] == command.solve(task)["estimate"]


def test_a_set_has_its_own_number_of_points_and_the_packages_that_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(command, "run_tasks", lambda *_, **__: iter(()))
    monkeypatch.setattr(command.picture, "draw", lambda *_: None)
    for which, manifold, points in (("geomle", "Roll 2 in 3", 1000), ("systems", "lens", 2000)):
        arguments = ["--set", which, "--manifolds", manifold, "--estimators", "TwoNN", "ABIDE", "--out", str(tmp_path)]
        assert command.COMMAND(arguments) == 0
        written = json.loads((tmp_path / f"intrinsic-dimension-{which}-{points}.json").read_text())
        versions = written["runs"][0]["versions"]
        assert set(versions) >= {"scikit-dimension", "dadapy", "numpy", *command.PACKAGES.get(which, ())}
    assert "sgp4" in versions


def test_what_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments in (["--manifolds", "Moon"], ["--estimators", "Oracle"], ["--noise", "-1"], ["--points", "0"]):
        with pytest.raises(SystemExit):
            command.COMMAND([*arguments, "--out", str(tmp_path)])
        assert arguments[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_profiles_name_what_there_is():
    for profile in command.PROFILES.values():
        assert set(profile.estimators) <= set(ESTIMATORS)
        assert set(profile.manifolds or ()) <= set(BENCHMARK)
