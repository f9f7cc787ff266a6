"""ruff and mypy, with the settings of pyproject.toml, as a developer runs them."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("mypy", "--python-version", "3.10"),  # the oldest that is declared
        pytest.param(("mypy", "--python-version", "3.14"), marks=pytest.mark.slow),  # the newest
    ],
    ids=" ".join,
)
def test_it_has_nothing_to_say(command):
    if importlib.util.find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: pip install '.[test]'")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("the settings are in the source tree, and this is not one")
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
