"""The test suites that nflows, normflows and zuko publish, with classes of ours in the place of theirs."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
import unittest
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import packages_distributions, version
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from torch import nn

from factor_kinds import FACTORS
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import RunningAverageFactor
from support import randomize

DOWNLOADS = tempfile.TemporaryDirectory(prefix="peer-suites-")  # goes with the process
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


def _pip(*arguments: str) -> None:
    """Runs pip, or skips where it cannot get what is asked for."""
    done = subprocess.run([*PIP, *arguments], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        pytest.skip(f"pip {arguments[0]} of {arguments[-1]} failed: {said}")


@cache
def _published_tests(library: str) -> Path:
    """The folder of tests in the source distribution of the release that is installed."""
    (name,) = set(packages_distributions()[library])
    folder = Path(DOWNLOADS.name) / name
    _pip("download", "--no-deps", "--no-binary", name, "--dest", str(folder), f"{name}=={version(name)}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    found = list(folder.glob("*/tests"))
    if not found:
        pytest.skip(f"the source distribution of {name} {version(name)} carries no tests")
    return found[0]


@cache
def _installed_beside(requirement: str, module: str) -> None:
    """What a peer's tests import and nobody else needs, from a folder of its own."""
    if importlib.util.find_spec(module) is None:
        folder = str(Path(DOWNLOADS.name) / module)
        _pip("install", "--no-deps", "--target", folder, requirement)
        sys.path.append(folder)


@cache
def suite(library: str, name: str) -> ModuleType:
    """A module of a library's tests, such as ``transforms.lu_test``; normflows installs its own beside its code."""
    if library == "normflows":
        return importlib.import_module(f"normflows.{name}")
    folder = _published_tests(library)
    if library == "nflows":
        _installed_beside("torchtestcase==2018.2", "torchtestcase")
    ours = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] == "tests"}
    sys.modules["tests"] = ModuleType("tests")
    sys.modules["tests"].__path__ = [str(folder)]
    try:
        return importlib.import_module(f"tests.{name}")
    finally:
        for key in [key for key in sys.modules if key.split(".")[0] == "tests"]:
            del sys.modules[key]
        sys.modules.update(ours)


def put_in(monkeypatch: pytest.MonkeyPatch, module: ModuleType, **ours: object) -> None:
    """Ours in the place of names of a test module; ``base__Flow`` is the ``Flow`` of the ``base`` that it imported."""
    for name, value in ours.items():
        first, _, rest = name.partition("__")
        theirs = getattr(module, first)  # an AttributeError says that the suite has changed
        if rest:
            getattr(theirs, rest)
            value = SimpleNamespace(**{**vars(theirs), rest: value})
        monkeypatch.setattr(module, first, value)


def run_case(module: ModuleType, case: str, method: str, tolerance: float = 0.0) -> None:
    """One method of a ``unittest`` class of theirs, with all its subtests; nflows' classes have a tolerance."""
    result, test = unittest.TestResult(), getattr(module, case)(method)
    if tolerance:
        test.eps = tolerance
    test.run(result)
    assert result.testsRun == 1
    assert not result.skipped
    assert not result.failures + result.errors, "\n".join(text for _, text in result.failures + result.errors)


def methods_of(module: ModuleType, case: str) -> set[str]:
    return set(unittest.TestLoader().getTestCaseNames(getattr(module, case)))


def _random(build: Callable[..., nn.Module], shape: object) -> nn.Module:
    return randomize(build(shape))


BASES: dict[str, Callable[..., nn.Module]] = {
    **{f"DegenerateGaussian, {kind}": partial(DegenerateGaussian, factor=kind_) for kind, kind_ in FACTORS.items()},
    "DegenerateGaussian, random": partial(_random, DegenerateGaussian),
    "DegenerateGaussian, with a mean": partial(DegenerateGaussian, learn_mean=True),
    "DegenerateGaussianMixture": partial(DegenerateGaussianMixture, pieces=3),
    "DegenerateGaussianMixture, tied": partial(DegenerateGaussianMixture, pieces=3, tied=True),
    "DegenerateGaussianMixture, semi-tied": partial(
        DegenerateGaussianMixture, pieces=3, tied="semi", factor=RunningAverageFactor
    ),
}
"""From a shape; those of rank 3 need three features."""

FEW = {name: build for name, build in BASES.items() if "LowRank" not in name}
"""Those for any number of features."""
