"""What a contributor and a citing author rely on: the workflow, the extras that CONTRIBUTING.md names, CITATION.cff."""

import re
from pathlib import Path

import pytest

import nflows_spread

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"

pytestmark = pytest.mark.skipif(not GITHUB.exists(), reason=".github/ is in the source tree, and this is not one")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def jobs():
    return yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]


def commands_of(job):
    return [step["run"] for step in job["steps"] if "run" in step]


def test_the_workflow_calls_the_readmes_test_command_as_it_stands(jobs):
    (command,) = re.findall(r"^(pip install .+ pytest)$", read("README.md"), flags=re.MULTILINE)
    assert command in commands_of(jobs["tests"])


def test_the_workflow_runs_the_sessions_that_nox_lists_and_repeats_no_version(jobs):
    listed, called = commands_of(jobs["sessions"]), commands_of(jobs["versions"])
    assert "nox --list --json --tags versions tests" in listed[0]
    assert "fromJson(needs.sessions.outputs.list)" in jobs["versions"]["strategy"]["matrix"]["include"]
    assert 'nox --error-on-missing-interpreters --session "$SESSION"' in called[0]
    assert re.findall(r"[0-9]+\.[0-9]+", read(".github/workflows/tests.yml")) == []


def test_every_session_has_a_tag_that_the_workflow_asks_for():
    tags = re.findall(r"^@nox\.session(.*)$", read("noxfile.py"), flags=re.MULTILINE)
    assert len(tags) > 5
    assert [line for line in tags if not re.search(r'tags=\["(versions|tests)"\]', line)] == []


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
