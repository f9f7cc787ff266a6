"""How an experiment is added, as the documentation has it: one file, and it is listed, run and reported."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paper import experiments
from run import main

pytest.importorskip("sklearn")

TOY = '''"""Toy (no figure): points of the line with fewer steps than ``line``.

The paper: nothing about it.

Found: a test needs it.
"""

from functools import partial

from nflows_spread.models import TABLE_1, coupling_flow
from paper import data_sets
from paper.experiment import FIXED_PRIOR, OURS, Experiment

EXPERIMENT = Experiment(
    data=data_sets.line,
    flow=partial(coupling_flow, **TABLE_1),
    variants=(OURS, FIXED_PRIOR),
    steps=5,
    samples=200,
    profiles={"full": {"steps": 7}},
)
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The file, in the folder of the experiments as far as Python is concerned."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "toy.py").write_text(TOY, encoding="utf-8")
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(folder)])
    yield
    sys.modules.pop("paper.experiments.toy", None)
    vars(experiments).pop("toy", None)


@pytest.mark.usefixtures("toy")
def test_a_file_is_an_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    experiments_part, _, others = capsys.readouterr().out.partition("\n\n")
    assert experiments_part.splitlines()[-1].split() == ["toy", *TOY.split('"""')[1].splitlines()[0].split()]
    assert others.rstrip().endswith(", performance, stale, refresh.")
    assert main(["toy", "--profile", "full", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "toy-full-seed-0.json").read_text())
    assert {flow: numbers["steps"] for flow, numbers in record["results"].items()} == {
        "our default": 7,
        "fixed prior": 7,
    }
    assert (tmp_path / "toy-full-seed-0.png").read_bytes().startswith(b"\x89PNG")
    assert main(["report", "--results", str(tmp_path), "--out", str(tmp_path)]) == 0
    assert "Found: a test needs it." in (tmp_path / "report.html").read_text()


def test_it_was_one_for_the_test_alone() -> None:
    assert "toy" not in experiments.names()
