"""What a contributor and a citing author rely on: the workflow, the extras that CONTRIBUTING.md names, CITATION.cff."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest

import nflows_spread

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"

pytestmark = pytest.mark.skipif(not GITHUB.exists(), reason=".github/ is in the source tree, and this is not one")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def declared_pythons():
    found = re.search(r"^VERSIONS = (\[.+\])$", read("tests/project/test_python_versions.py"), flags=re.MULTILINE)
    return yaml.safe_load(found[1])


@pytest.fixture
def job():
    return yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["tests"]


def test_the_workflow_calls_the_readmes_test_command_as_it_stands(job):
    (command,) = re.findall(r"^(pip install .+ pytest)$", read("README.md"), flags=re.MULTILINE)
    assert command in [step.get("run") for step in job["steps"]]


def test_the_workflow_tries_every_python_that_is_declared_with_the_newest_torch(job):
    matrix = job["strategy"]["matrix"]
    assert matrix["python"] == declared_pythons()
    assert [entry for entry in matrix["exclude"] if entry["torch"] != "oldest"] == []
    assert len(matrix["exclude"]) < len(matrix["python"])


def test_the_oldest_torch_is_the_one_that_is_declared(job):
    declared = re.search(
        r"torch>=([\d.]+)", next(name for name in requires("nflows-spread") if name.startswith("torch"))
    )
    (pinned,) = re.findall(r"^torch==(\S+)$", read(".ci/oldest.txt"), flags=re.MULTILINE)
    assert pinned == f"{declared[1]}.0"
    assert ".ci/oldest.txt" in job["env"]["PIP_CONSTRAINT"]


def test_the_citation_is_of_this_version_and_of_the_paper():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == nflows_spread.__version__
    paper = citation["preferred-citation"]
    assert paper["title"] == "Spread Flows for Manifold Modelling"
    assert [author["family-names"] for author in paper["authors"]] == ["Zhang", "Sun", "Zhang", "McDonagh"]
    assert f"[{paper['title']}]({paper['url']})" in read("README.md")
    assert {"cff-version", "message", "title", "authors"} <= set(citation)


def test_contributing_names_every_extra():
    text = read("CONTRIBUTING.md")
    _, _, table = read("pyproject.toml").partition("[project.optional-dependencies]\n")
    extras = re.findall(r"^(\w+) = \[", table.partition("\n[")[0], flags=re.MULTILINE)
    assert {"docs", "test"} <= set(extras)
    assert [name for name in extras if f"`{name}`" not in text] == []


def test_every_template_says_what_it_is_for():
    templates = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.md"))
    assert len(templates) == 3
    for template in templates:
        _, head, body = template.read_text(encoding="utf-8").split("---\n", 2)
        assert {"name", "about"} <= set(yaml.safe_load(head))
        named = re.findall(r"`(docs/[\w/.]+)`", body)
        assert [name for name in named if not (ROOT / name).exists()] == []
