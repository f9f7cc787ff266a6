"""Sessions of nox: the package in environments of its own, by Python, oldest and newest libraries, extra and nflows.

``nox --list`` names them, ``nox -s oldest_versions`` or ``nox -s "extra(extra='zuko')"`` runs some. What is
oldest stands in pyproject.toml alone. The build of torch is whichever pip or uv takes: on a machine without a GPU
point ``PIP_CONSTRAINT`` or ``UV_CONSTRAINT`` at a CPU build, as an unpinned torch brings gigabytes of CUDA libraries.
Sessions of a Python that the machine lacks are skipped; with pyenv, ``PYENV_VERSION=3.10.13:3.12.1`` shows it several.
"""

from __future__ import annotations

import re
from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.2"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["core", "extra", "oldest_versions", "newest_versions", "nflows"]

PROJECT = nox.project.load_toml("pyproject.toml")["project"]
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
"""Those that are declared."""

NEWEST_PYTHON = "3.13"
"""The newest for which every library of the extras has wheels."""

OLDEST_NUMPY = "1.26"
"""The last release before 2, which is as old as torch 2.4 is tried with. We ask for none by ourselves."""

NFLOWS = {"nflows": [], "matts-nflows": [], "cel-nflows": ["UMNN"]}
"""Distributions of the package ``nflows``: the release, and those from later states of its repository; and what one of
them imports without asking for it (0.14.1)."""

TESTS = {
    "core": [
        *["tests/factors/test_factor_densities.py", "tests/distributions/test_gaussian.py", "tests/test_losses.py"],
        *["tests/transforms/test_transforms.py", "tests/hosts/test_nflows.py"],
    ],
    "normflows": ["tests/hosts/test_normflows.py", "tests/hosts/test_normflows_layers.py"],
    "zuko": ["tests/hosts/test_zuko_conversion.py"],
    "train": ["tests/training/test_fit.py", "tests/training/test_saving.py"],
    "sklearn": ["tests/estimator/test_sklearn_interface.py"],
    "images": ["tests/datasets/test_image_decoding.py", "tests/datasets/test_image_folder.py"],
    "cli": [
        "tests/cli/test_data_files.py",
        "tests/cli/test_annotated_files.py",
        "tests/cli/test_text_tables.py",
        "tests/plots/test_axes.py",
    ],
}
"""By extra, a minute of tests that use what it brings."""

EXTRAS = [name for name in TESTS if name != "core"]
"""Those for users; the others are for the comparisons, documentation and tests of this repository."""

FOR_TESTS = ["pytest>=8", "scipy", "mpmath"]
"""What these tests import beyond the extra."""

PROMISED = {
    "core": ["nflows_spread", "nflows_spread.models", "nflows_spread.transforms", "nflows_spread.dimension"],
    "normflows": ["nflows_spread.transforms.normflows"],
    "zuko": ["nflows_spread.transforms.zuko"],
    "train": ["nflows_spread.training", "nflows_spread.estimator"],
    "sklearn": ["nflows_spread.estimator.sklearn_interface"],
    "images": ["nflows_spread.datasets"],
    "cli": ["nflows_spread.cli.commands", "nflows_spread.plots"],
}
"""By extra, the modules that are imported where it is installed."""

ALSO = {"sklearn": ["train"]}
"""Extras that the tests of another one need beside it: the estimator trains."""

VERSIONS = """
import sys
from importlib.metadata import distributions
print("python", sys.version.split()[0], *sorted(f"{found.name} {found.version}" for found in distributions()), sep="; ")
"""
"""Prints one line of all that an environment has."""

STEPS = ("range(2000)", "range(50)")
"""README's training, and so much of it as shows that it runs."""


def oldest(*extras: str) -> list[str]:
    """Pins of the oldest releases that the core and these extras declare."""
    declared, waiting = list(map(Requirement, PROJECT["dependencies"])), list(extras)
    while waiting:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][waiting.pop()]):
            waiting += requirement.extras if requirement.name == PROJECT["name"] else []
            declared.append(requirement)
    return sorted({f"{found.name}=={bound.version}" for found in declared for bound in found.specifier})


def show(session: nox.Session, *extras: str) -> None:
    """Print the versions, and import what the extras promise."""
    session.run("python", "-I", "-c", VERSIONS)
    session.run("python", "-I", "-c", "; ".join(f"import {name}" for extra in extras for name in PROMISED[extra]))


def test(session: nox.Session, *extras: str) -> None:
    """The tests of the extras, against the installed package and not this folder."""
    session.install(*FOR_TESTS)
    options = ["-o", "addopts=--import-mode=importlib -m 'not slow'", "-q", "-p", "no:cacheprovider"]
    files = [file for extra in extras for file in TESTS[extra]]
    session.run("pytest", *options, *files, *session.posargs, env={"PYTHONPATH": "", "OMP_NUM_THREADS": "1"})


@nox.session(python=PYTHONS, tags=["versions"])
def core(session: nox.Session) -> None:
    """The core alone, on every Python: imports, and README's first block."""
    session.install(".")
    show(session, "core")
    block = re.search(r"```python\n(.*?)```", Path("README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    session.run("python", "-I", "-c", block[1].replace(*STEPS))


@nox.session(tags=["versions"])
@nox.parametrize("extra", EXTRAS)
def extra(session: nox.Session, extra: str) -> None:
    """One extra alone, with the newest releases that go with the Python that runs nox."""
    session.install(f".[{','.join([extra, *ALSO.get(extra, [])])}]")
    show(session, extra)
    test(session, extra)


@nox.session(python=PYTHONS[0], tags=["versions"])
def oldest_versions(session: nox.Session) -> None:
    """The oldest release of everything that the core and the extras declare, on the oldest Python."""
    session.install(f".[{','.join(EXTRAS)}]", f"numpy=={OLDEST_NUMPY}.*", *oldest(*EXTRAS))
    show(session, *TESTS)
    test(session, *TESTS)


@nox.session(python=NEWEST_PYTHON, tags=["versions"])
def newest_versions(session: nox.Session) -> None:
    """The newest release of everything, all extras together."""
    session.install(f".[{','.join(EXTRAS)}]", "--upgrade")
    show(session, *TESTS)
    test(session, *TESTS)


@nox.session(tags=["versions"])
@nox.parametrize("distribution", list(NFLOWS))
def nflows(session: nox.Session, distribution: str) -> None:
    """The core with each distribution of nflows in turn."""
    others = [text for text in PROJECT["dependencies"] if Requirement(text).name != "nflows"]
    session.install(*others, distribution, *NFLOWS[distribution])
    session.install("--no-deps", ".")
    show(session, "core")
    test(session, "core")


@nox.session(python=PYTHONS, tags=["tests"])
def suite(session: nox.Session) -> None:
    """All tests on every Python, with the newest libraries. It takes long, and has to be asked for."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0], tags=["tests"])
def suite_with_oldest_torch(session: nox.Session) -> None:
    """All tests on the oldest Python with the oldest torch. It takes long, and has to be asked for."""
    session.install(".[test]", *[pin for pin in oldest("core") if pin.startswith("torch==")])
    session.run("pytest", *session.posargs)
