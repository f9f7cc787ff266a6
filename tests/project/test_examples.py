"""The examples run, for a few steps."""

from __future__ import annotations

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
    "sbi_posterior": lambda module: module.main(epochs=2, simulations=500),
    "swap_base": lambda module: module.main(steps=5),
    "zuko_swap": lambda module: module.main(steps=3),
}
RUN_ELSEWHERE = {"train_distributed"}  # starts processes; tests/training/test_processes.py runs it


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SHORT) | {
        name for name in RUN_ELSEWHERE if (EXAMPLES / f"{name}.py").exists()
    }


@pytest.mark.parametrize("name", SHORT)
def test_an_example_runs_and_says_what_it_found(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where sbi leaves its logs
    for package in ("sklearn", *(library for library in ("normflows", "zuko", "sbi") if library in name)):
        pytest.importorskip(package)
    found = SHORT[name](import_module(name))
    assert found
    assert "imension" in capsys.readouterr().out
