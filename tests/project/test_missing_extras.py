"""Tests of an extra that is not installed are skipped when they are collected; what else fails there is not hidden."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import missing_extras
from missing_extras import EXTRA_OF, missing_extra

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "lightning_fabric": "lightning-fabric",
    "skdim": "scikit-dimension",
    "sklearn": "scikit-learn",
}
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("lightning_fabric", "scipy"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.mark.parametrize(("module", "extra"), EXTRA_OF.items())
def test_the_extra_that_is_named_asks_for_the_library(module, extra):
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split(f"\n{extra} = [")[1].split("]\n")[0]
    assert f'"{DISTRIBUTIONS.get(module, module)}' in lines


def test_a_library_that_is_not_installed_is_found_behind_the_error_that_names_the_extra(monkeypatch):
    monkeypatch.setitem(EXTRA_OF, "a_library", "test")
    error = ImportError("needs a library")
    error.__cause__ = ModuleNotFoundError(name="a_library.part")
    assert missing_extra(error) == 'needs a_library, of the extra test: pip install "nflows-spread[test]"'


@pytest.mark.parametrize("name", ["pytest.nothing", "of_no_extra", None])
def test_other_imports_that_fail_are_not_excused(name, monkeypatch):
    monkeypatch.setitem(missing_extras.EXTRA_OF, "pytest", "test")
    assert missing_extra(ModuleNotFoundError(name=name)) is None


def test_other_errors_are_not_excused():
    assert missing_extra(ValueError("lightning_fabric")) is None
    assert missing_extra(None) is None


def test_files_are_collected_without_extras_or_skipped_with_a_reason(tmp_path):
    """Those of the factors ask for none; those of training and of SciPy's densities say which."""
    (tmp_path / "without.py").write_text(WITHOUT)
    files = ["factors/test_factors.py", "training/test_stop_rules.py", "linalg/test_dense.py"]
    command = [sys.executable, "-m", "pytest", "-p", "without", "-o", "addopts=--import-mode=importlib", "-rs", "-q"]
    done = subprocess.run(
        [*command, "--collect-only", *(f"tests/{file}" for file in files)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "test_factors.py::test_the_dictionary_of_kinds_is_complete" in done.stdout
    assert "test_stop_rules.py: needs lightning_fabric, of the extra train" in done.stdout
    assert "test_dense.py: needs scipy, of the extra bench" in done.stdout
