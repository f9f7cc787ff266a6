"""The package runs on every Python that it declares: its modules are imported, and read where that one has no torch."""

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
FOLDERS = ["nflows_spread", "benchmarks", "examples", "tests"]

READ = """
import ast, importlib, pathlib, sys

def has(module, name):
    if hasattr(importlib.import_module(module), name):
        return True
    try:
        return bool(importlib.import_module(f"{module}.{name}"))
    except ImportError:
        return False

def missing_in(tree):
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in sys.stdlib_module_names:
            yield from (f"{node.module}.{alias.name}" for alias in node.names if not has(node.module, alias.name))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in sys.stdlib_module_names:
                    modules[alias.asname or alias.name] = importlib.import_module(alias.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            if not hasattr(modules[node.value.id], node.attr):
                yield f"{node.value.id}.{node.attr}"

for file in sys.argv[1:]:
    try:
        tree = compile(pathlib.Path(file).read_text(encoding="utf-8"), file, "exec", ast.PyCF_ONLY_AST)
        compile(tree, file, "exec")
    except SyntaxError as error:
        print(f"{file}:{error.lineno}: {error.msg}")
    else:
        for name in missing_in(tree):
            print(f"{file}: no {name} here")
"""
"""Prints what of the files given this Python cannot compile, and which names of its own library it lacks."""

IMPORT = """
import importlib, pkgutil, sys
import nflows_spread

try:
    import torch, nflows
except ModuleNotFoundError as error:
    print(f"no {error.name}")
    sys.exit()
for module in pkgutil.walk_packages(nflows_spread.__path__, "nflows_spread."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] == "nflows_spread":
            raise
print("all")
"""
"""Imports every module, but for those of extras that are not installed; says so where torch or nflows is not."""


def run(command, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [command, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment, timeout=300
    )


def says(command, source):
    """What a Python prints, or None where there is none or it fails."""
    try:
        done = run(command, "-c", source)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def interpreter(version):
    """A Python of this version: the running one, one on the path, or one of pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [sys.executable, shutil.which(f"python{version}")]
    candidates += sorted(str(path) for path in pyenv.glob(f"{version}.*/bin/python"))
    for command in filter(None, candidates):
        if says(command, "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return command
    return None


def found(version):
    if interpreter(version) is None:
        pytest.skip(f"no Python {version} was found on the path or in pyenv's folder")
    return interpreter(version)


@pytest.mark.parametrize(
    "version",  # what the oldest and the newest have the others have too, but for what comes and goes
    [pytest.param(version, marks=[pytest.mark.slow] * (version in VERSIONS[1:3])) for version in VERSIONS],
)
def test_every_file_compiles_and_finds_its_names_in_the_standard_library(version):
    files = sorted(str(file.relative_to(ROOT)) for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))
    assert "nflows_spread/estimator/estimator.py" in files
    done = run(found(version), "-c", READ, *files)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_every_module_is_imported(version):
    done = run(found(version), "-c", IMPORT)
    if done.stdout.strip() in ("no torch", "no nflows"):
        pytest.skip(f"the Python {version} that was found has {done.stdout.strip()}")
    assert done.stdout.strip() == "all", done.stderr


def test_what_a_python_lacks_is_found(tmp_path):
    """The reader above is one that can fail: on names of no version, in each form in which they are used."""
    (tmp_path / "imported.py").write_text("from typing import Nothing\nfrom os import path\n")
    (tmp_path / "asked_for.py").write_text("import typing as t\n\n\ndef f(x: t.Nothing) -> t.Any: ...\n")
    (tmp_path / "grammar.py").write_text("def f(:\n    pass\n")
    files = sorted(str(file) for file in tmp_path.glob("*.py"))
    lines = run(sys.executable, "-c", READ, *files).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == files
    assert [re.search(r"no (\S+) here|: (invalid)", line)[0] for line in lines] == [
        "no t.Nothing here",
        ": invalid",
        "no typing.Nothing here",
    ]


def test_the_oldest_python_is_the_one_that_is_declared():
    declared = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert declared[1] == VERSIONS[0]
