"""Links, file names and module names in README.md, CONTRIBUTING.md and docs/ lead to something that exists."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FOLDERS = ("nflows_spread/", "benchmarks/", "tests/", "examples/", "docs/", "findings/", ".ci/")

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="docs/ is in the source tree, and this is not one")
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page):
    """The names that headings have in links."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield target


def quoted(page):
    """Code in backticks, outside blocks."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def commanded(page):
    """The words of commands in blocks; a test after ``::`` is one of its file."""
    blocks = re.findall(r"^```$(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    return [word for line in lines if line.startswith(("pytest", "python", "ruff")) for word in line.split()]


def missing_files(page):
    """Paths from the root of the repository, and tests in them; what runs leave behind is not there yet."""
    for name in [*quoted(page), *commanded(page)]:
        if not name.startswith(FOLDERS) or not re.fullmatch(r"[\w./:-]+", name):
            continue
        path, _, test = name.partition("::")
        if not (ROOT / path).exists() or (test and f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8")):
            yield name


def missing_names(page):
    """``nflows_spread.module.name``, of a module or of something in one."""
    for name in quoted(page):
        found = re.match(r"nflows_spread(?:\.\w+)+", name)
        if found and not exists(found[0]):
            yield name


def exists(name):
    module, _, last = name.rpartition(".")
    try:
        return hasattr(import_module(module), last) or import_module(name) is not None
    except ModuleNotFoundError:
        return False


@every_page
def test_every_link_leads_somewhere(page):
    assert list(broken_links(page)) == []


@every_page
def test_every_file_and_module_that_is_named_exists(page):
    assert [*missing_files(page), *missing_names(page)] == []


def test_what_does_not_exist_is_found(tmp_path):
    """The readers above are ones that can fail."""
    page = tmp_path / "page.md"
    page.write_text(
        "# A title: two\n[here](#a-title-two) [there](#nowhere) [gone](gone.md#title) `nflows_spread/gone.py` "
        "`nflows_spread.losses.Gone` `nflows_spread.losses.SpreadKLLoss(flow)` `nflows_spread.gone.too` `tests/`\n"
        "```\npytest tests/gone.py -k word  # of tests/gone_too.py\npytest tests/test_losses.py::test_gone\n```\n"
    )
    assert list(broken_links(page)) == ["#nowhere", "gone.md#title"]
    assert list(missing_files(page)) == ["nflows_spread/gone.py", "tests/gone.py", "tests/test_losses.py::test_gone"]
    assert list(missing_names(page)) == ["nflows_spread.losses.Gone", "nflows_spread.gone.too"]
