"""The performance benchmark, run as a user would run it but for sizes and rounds."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import torch

import run
from performance import command
from performance.races import Race, Section
from performance.record import run_race


@pytest.fixture(autouse=True)
def _each_step_once(monkeypatch):
    """A round is a step of each contender: nobody asks how long they take."""
    monkeypatch.setattr(command, "run_race", lambda race, **given: run_race(replace(race, seconds=0.0), **given))


def small(tmp_path, *sections):
    assert run.main(["performance", "--small", "--sections", *sections, "--out", str(tmp_path)]) == 0
    return json.loads((tmp_path / "performance.json").read_text())


_LONG = {"prior", "training"}
"""Those that take ten seconds and more, and are run by hand."""


@pytest.mark.parametrize(
    "section",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in _LONG)) for name in command.SECTIONS],
)
def test_every_section_leaves_a_table_a_record_and_a_picture(section, tmp_path, capsys):
    written = small(tmp_path, section)
    printed = capsys.readouterr().out
    assert written["command"] == f"python benchmarks/run.py performance --small --sections {section}"
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"]["threads"] == torch.get_num_threads()
    assert {part["section"] for kind in ("races", "trials") for part in written[kind]} == {section}
    for race in written["races"]:
        assert race["name"] in printed
        for name, row in race["contenders"].items():
            assert name in printed
            assert row["quartiles"][0] <= row["seconds"] <= row["quartiles"][1]
            assert row["peak_bytes"] > 0
        assert race["contenders"][race["reference"]]["over_reference"] == 1
        assert not race["contenders"].keys() & race["absent"].keys()
    assert len(written["targets"]) == printed.count("  target: ") + len(command.SECTIONS[section].growth)
    assert (tmp_path / "performance.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {race['name']} | {name} |" in page for race in written["races"] for name in race["contenders"])
    again = ["performance", "--record", str(tmp_path / "performance.json"), "--out", str(tmp_path / "again")]
    assert run.main(again) == 0
    assert (tmp_path / "again" / "performance.md").read_text() == page
    assert str(tmp_path) not in (tmp_path / "performance.json").read_text()


def test_races_for_which_no_time_is_left_are_named(tmp_path, capsys, monkeypatch):
    lazy = Race("s", "the first", "a", {"a": lambda: lambda: time.sleep(0.02)})
    monkeypatch.setitem(command.SECTIONS, "s", Section("s", lambda small: [lazy, Race("s", "the last", "a", {})]))
    assert command.COMMAND(["--sections", "s", "--max-minutes", "0.0003", "--out", str(tmp_path)]) == 0
    assert "no time was left for: the last" in capsys.readouterr().out
    assert json.loads((tmp_path / "performance.json").read_text())["left_out"] == ["the last"]


def test_a_record_that_cannot_be_read_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.COMMAND(["--record", str(tmp_path / "none.json")])
    assert "--record must be the JSON file of an earlier run, got" in capsys.readouterr().err
