"""What an installer and a newcomer rely on."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import metadata, requires
from importlib.resources import files
from pathlib import Path

import pytest

import nflows_spread

ROOT = Path(__file__).parents[2]
EXTRAS = {
    "normflows",
    "zuko",
    "train",
    "sklearn",
    "images",
    "cli",
    "bench",
    "charts",
    "systems",
    "docs",
    "test",
    "mutation",
}


def _readme_commands() -> list[str]:
    return re.findall(r"^(pip install .+)$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)


def test_the_core_depends_on_torch_and_nflows_alone_without_an_upper_bound_on_torch() -> None:
    core = [requirement for requirement in requires("nflows-spread") or [] if "extra ==" not in requirement]
    assert sorted(re.match(r"[\w-]+", requirement)[0] for requirement in core) == ["nflows", "torch"]  # type: ignore[index]
    assert not any("<" in requirement for requirement in core)


def test_the_extras_are_those_of_the_design() -> None:
    assert set(metadata("nflows-spread").get_all("Provides-Extra") or []) == EXTRAS


def test_the_package_says_that_it_is_typed_and_which_version_it_is() -> None:
    assert (files("nflows_spread") / "py.typed").is_file()
    assert metadata("nflows-spread")["Version"] == nflows_spread.__version__


def test_ci_calls_the_readmes_test_command_as_it_stands() -> None:
    commands = [command for command in _readme_commands() if "pytest" in command]
    assert len(commands) == 1
    assert commands[0] in (ROOT / ".ci" / "run").read_text().splitlines()


def _of_the_source_archive() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text()
    found = re.search(
        r"^\[tool\.hatch\.build\.targets\.sdist\]\ninclude = \[(.*?)\]", text, flags=re.DOTALL | re.MULTILINE
    )
    assert found is not None
    return re.findall(r'"([^"]+)"', found[1])


def test_the_source_archive_has_all_that_the_readme_leads_to_and_the_tests_ask_for() -> None:
    included = _of_the_source_archive()
    assert [name for name in included if not (ROOT / name).exists()] == []
    local = [link for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()) if "://" not in link]
    assert {link.partition("/")[0] for link in local} | {".ci", "benchmarks", "findings", "tests"} <= set(included)


def test_the_root_has_no_file_that_nobody_asked_for() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode != 0 or not tracked.stdout:
        pytest.skip("this is no clone of the repository")
    found = {name.partition("/")[0] for name in tracked.stdout.splitlines()}
    assert found <= {*_of_the_source_archive(), ".gitignore", "pyproject.toml"}


def test_every_public_name_has_a_docstring_of_its_own() -> None:
    described = {name: getattr(nflows_spread, name).__doc__ for name in nflows_spread.__all__}
    assert [name for name, text in described.items() if not text] == []
    assert len(set(described.values())) == len(described)
