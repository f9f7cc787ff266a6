"""noxfile.py: each extra, each declared minimum, each Python and each distribution of nflows has a session."""

import importlib.util
import re
from pathlib import Path

import pytest

nox = pytest.importorskip("nox", reason="needs nox, of the extra test")

from packaging.requirements import Requirement  # noqa: E402, which nox brings

ROOT = Path(__file__).parents[2]
FOR_COMPARISONS = {"bench", "charts", "systems"}
FOR_DEVELOPERS = {"docs", "mutation", "test"}


@pytest.fixture(scope="module")
def noxfile():
    specification = importlib.util.spec_from_file_location("noxfile", ROOT / "noxfile.py")
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)  # where nox reads it
        specification.loader.exec_module(module)
    return module


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def requirements(noxfile, extra):
    project = noxfile.PROJECT
    return map(Requirement, project["optional-dependencies"][extra] if extra != "core" else project["dependencies"])


def test_every_extra_for_users_has_sessions(noxfile):
    users = set(noxfile.PROJECT["optional-dependencies"]) - FOR_COMPARISONS - FOR_DEVELOPERS
    assert set(noxfile.TESTS) == set(noxfile.PROMISED) == users | {"core"}


def test_every_test_that_a_session_runs_exists(noxfile):
    named = {name for names in noxfile.TESTS.values() for name in names}
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_every_promised_module_exists(noxfile):
    for name in {name for names in noxfile.PROMISED.values() for name in names}:
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), name


def test_every_declared_minimum_is_installed_by_a_session(noxfile):
    pins = dict(pin.split("==") for pin in noxfile.oldest(*noxfile.EXTRAS))
    declared = [requirement for extra in noxfile.TESTS for requirement in requirements(noxfile, extra)]
    bounds = {requirement.name: str(requirement.specifier) for requirement in declared if requirement.specifier}
    assert {"torch", "nflows", "normflows", "zuko", "scikit-learn", "pillow", "matplotlib"} <= set(bounds)
    assert {name: f">={version}" for name, version in pins.items()} == bounds


def test_the_minimum_of_a_library_is_the_same_in_each_extra(noxfile):
    bounds = {}
    for extra in noxfile.PROJECT["optional-dependencies"]:
        for requirement in requirements(noxfile, extra):
            if requirement.specifier:
                bounds.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in bounds.items() if len(found) > 1} == {}


def test_the_pythons_are_those_that_are_declared(noxfile):
    (found,) = re.findall(r"^VERSIONS = (\[.+\])$", read("tests/project/test_python_versions.py"), flags=re.MULTILINE)
    assert str(noxfile.PYTHONS).replace("'", '"') == found
    assert noxfile.NEWEST_PYTHON in noxfile.PYTHONS


def test_readmes_first_block_has_the_training_that_a_session_shortens(noxfile):
    block = re.search(r"```python\n(.*?)```", read("README.md"), flags=re.DOTALL)[1]
    assert block.count(noxfile.STEPS[0]) == 1


def test_every_session_is_on_the_page(noxfile):
    page = read("docs/what_is_tested.md")
    assert [name for name in noxfile.nox.options.sessions if f"`{name}`" not in page] == []
