"""The examples run, for a few steps."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SHORT = {
    "chart_loss": lambda module: module.main(steps=5),
    "array_to_dimension": lambda module: module.main(steps=5),
    "manifold_readouts": lambda module: module.main(steps=5),
    "normflows_swap": lambda module: module.main(steps=3),
    "convert_existing": lambda module: module.main(steps=6),
    "swap_base": lambda module: module.main(steps=5),
    "zuko_swap": lambda module: module.main(steps=3),
}
STORIES = {
    "exploding_likelihood": (lambda module, out: module.main(steps=40, rows=500, out=out), "dimension"),
    "robot_arm": (
        lambda module, out: module.main(steps=10, poses=300, out=out),
        "the coordinates (do not )?tell every",
    ),
    "sbi_posterior": (lambda module, out: module.main(epochs=2, simulations=500, out=out), "the posterior is a"),
    "single_cells": (lambda module, out: module.main(steps=10, out=out), "verdict: no single dimension"),
    "time_series": (lambda module, out: module.main(rows=3_000, out=out), "modes: with a window the answer is"),
    "umap_components": (lambda module, out: module.main(rows=300, epochs=20, out=out), "3 components are"),
}
"""Each with the words of its verdict; they leave a picture."""
NEEDS = {"sbi_posterior": "sbi", "single_cells": "scanpy", "umap_components": "umap"}
RUN_ELSEWHERE = {"train_distributed"}  # starts processes; tests/training/test_processes.py runs it


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT) | set(STORIES) | {
        name for name in RUN_ELSEWHERE if (EXAMPLES / f"{name}.py").exists()
    }


@pytest.mark.parametrize("name", SHORT)
def test_an_example_runs_and_says_what_it_found(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for package in ("sklearn", *(library for library in ("normflows", "zuko") if library in name)):
        pytest.importorskip(package)
    found = SHORT[name](import_module(name))
    assert found
    assert "imension" in capsys.readouterr().out


@pytest.mark.parametrize("name", STORIES)
def test_a_story_prints_its_verdict_and_leaves_a_picture(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where sbi leaves its logs
    for package in ("sklearn", "scipy", "lightning_fabric", "matplotlib", NEEDS.get(name, "torch")):
        pytest.importorskip(package)
    run, verdict = STORIES[name]
    assert run(import_module(name), tmp_path / "picture.png")
    assert re.search(verdict, capsys.readouterr().out)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", STORIES)
def test_a_story_says_how_to_run_it_and_is_on_the_page_of_examples(name: str) -> None:
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    assert f"python examples/{name}.py" in "\n".join(lines[:15])
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    assert f"(../examples/{name}.py)" in page
    assert f"examples/{name}.png" in page


def test_the_page_of_examples_lists_them_all() -> None:
    page = (EXAMPLES.parent / "docs" / "examples.md").read_text(encoding="utf-8")
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(re.findall(r"\(\.\./examples/(\w+\.py)\)", page))
