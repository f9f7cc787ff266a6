"""Wheel and source archive: built without a network, installed into an empty environment, imported from there."""

import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import nflows_spread

ROOT = Path(__file__).parents[2]
LIBRARIES = Path(torch.__file__).parents[1]
SAY = """
import json, nflows_spread
from nflows_spread.estimator import SpreadFlowEstimator
from importlib.metadata import version
print(json.dumps([nflows_spread.__file__, nflows_spread.__version__, version("nflows-spread")]))
found = nflows_spread.dimension_of([[float(i * j % 101), float(i)] for i in range(60) for j in (1, 2)])
assert found in (1, 2), found
"""
"""``dimension_of`` reads the table of its calibration, which is no Python."""

pytestmark = [
    pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="an archive is made of a source tree"),
    pytest.mark.skipif(find_spec("hatchling") is None, reason="archives are built by hatchling: pip install '.[test]'"),
]


def called(*command, cwd):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The wheel, the source archive, and a wheel that was made of the source archive alone."""
    built, unpacked = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("unpacked")
    called(sys.executable, "-m", "hatchling", "build", "-d", built, cwd=ROOT)
    (source,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(source) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # not in each 3.10 and 3.11
        archive.extractall(unpacked, **safely)
    (tree,) = unpacked.iterdir()
    called(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", unpacked / "again", cwd=tree)
    (again,) = (unpacked / "again").glob("*.whl")
    return wheel, tree, again


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_has_the_package_and_nothing_else(archives):
    names = set(contents(archives[0]))
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"nflows_spread", f"nflows_spread-{nflows_spread.__version__}.dist-info"}
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "nflows_spread").rglob("*.py")}
    assert sources <= names
    assert {"nflows_spread/py.typed", "nflows_spread/dimension/calibration_table.json"} <= names
    assert [name for name in names if name.endswith((".pyc", ".ipynb"))] == []


def test_the_source_archive_makes_the_same_wheel(archives):
    wheel, tree, again = archives
    assert contents(again) == contents(wheel)
    assert (tree / "tests" / "project" / Path(__file__).name).exists()


def test_the_wheel_is_imported_from_an_empty_environment(archives, tmp_path):
    """Which has torch and nflows by a path, in the place of a download."""
    called(sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty", cwd=tmp_path)
    (python,) = [file for file in (tmp_path / "empty").glob("*/python*") if file.stem == "python"]
    arguments = ("install", "--quiet", "--no-index", "--no-deps", archives[0])
    called(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=tmp_path)
    (place,) = (tmp_path / "empty").rglob("site-packages")
    (place / "libraries.pth").write_text(f"{LIBRARIES}\n")
    said = called(python, "-I", "-c", SAY, cwd=tmp_path)
    assert str(place) in said
    assert said.count(f'"{nflows_spread.__version__}"') == 2
    if find_spec("click") and find_spec("pandas"):
        called(python.with_name("nflows-spread"), "--help", cwd=tmp_path)


def test_one_line_says_the_version():
    lines = [
        str(file.relative_to(ROOT))
        for file in [ROOT / "pyproject.toml", *(ROOT / "nflows_spread").rglob("*.py")]
        if re.search(r'^(?:__version__|version) = "', file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    ]
    assert lines == ["nflows_spread/__init__.py"]
