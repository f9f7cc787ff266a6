"""The documentation site: built without a warning, every page and public name on it, nothing loaded from a network."""

import re
import subprocess
import sys
import zlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PARTS = ["", ".atlas", ".chart", ".datasets", ".dimension", ".distributions", ".estimator", ".factors", ".hosts"]
PARTS += [".models", ".training", ".transforms"]
LOADS = r"<(?:script|img|iframe|source|audio|video)\b[^>]*\ssrc=\"([^\"]+)\"|<link\b[^>]*>"
"""What a page of HTML fetches by itself: an anchor is followed by a reader."""

pytestmark = [
    pytest.mark.skipif(not DOCS.exists(), reason="docs/ is in the source tree, and this is not one"),
    pytest.mark.skipif(
        find_spec("mkdocs") is None or find_spec("mkdocstrings") is None,
        reason="the site needs the extra docs: pip install '.[docs]'",
    ),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built as ``mkdocs build --strict`` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def external_loads(text):
    """The addresses that a page of HTML loads from elsewhere."""
    for match in re.finditer(LOADS, text):
        tag, address = match[0], match[1]
        if tag.startswith("<link"):
            loading = re.search(r'rel="(?:stylesheet|icon|preload|modulepreload|preconnect|dns-prefetch)"', tag)
            address = re.search(r'href="([^"]*)"', tag)[1] if loading else None
        if address is not None and re.match(r"(?:https?:)?//", address):
            yield address


def named_pages():
    """The pages of the navigation of ``mkdocs.yml``."""
    import yaml

    waiting = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = []
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, str):
            pages.append(entry)
        elif isinstance(entry, dict):
            waiting += list(entry.values())
        else:
            waiting += entry
    return pages


def test_every_page_of_docs_is_in_the_navigation_once():
    pages = [str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")]
    ours = [page for page in named_pages() if not page.startswith("repository/")]
    assert sorted(ours) == sorted(pages)


def test_no_page_loads_anything_from_a_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    assert {
        page.name: found for page in pages if (found := list(external_loads(page.read_text(encoding="utf-8"))))
    } == {}
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import\s+)[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_every_public_name_is_in_the_reference(site):
    inventory = (site / "objects.inv").read_bytes()
    lines = zlib.decompress(inventory[inventory.index(b"zlib.\n") + 6 :]).decode().splitlines()
    found = {line.partition(" ")[0] for line in lines}
    for part in PARTS:
        module = import_module(f"nflows_spread{part}")
        places = {name: getattr(getattr(module, name), "__module__", "") for name in module.__all__}
        missing = [n for n, place in places.items() if not {f"{module.__name__}.{n}", f"{place}.{n}"} & found]
        assert missing == [], f"say them in docs/reference/, of {module.__name__}"


def test_examples_of_docstrings_are_code(site):
    page = (site / "reference" / "readouts" / "index.html").read_text(encoding="utf-8")
    assert page.count('<span class="gp">&gt;&gt;&gt; </span>') > 5
    assert "<blockquote>" not in page


def test_links_to_the_repository_lead_to_files_of_the_site(site):
    """``mkdocs build --strict`` has followed them; here is that scripts became pages, and pictures are there."""
    page = (site / "hosts" / "index.html").read_text(encoding="utf-8")
    assert 'href="../repository/examples/swap_base.py/"' in page
    assert "swap_base" in (site / "repository/examples/swap_base.py/index.html").read_text(encoding="utf-8")
    assert (site / "repository/benchmarks/results/reference/charts.png").stat().st_size > 10_000


def test_what_a_page_loads_is_found():
    """The reader above is one that can fail."""
    page = (
        '<a href="https://a.org">a</a><script src="https://b.org/b.js"></script><script src="c.js"></script>'
        '<link rel="stylesheet" href="//d.org/d.css"><link rel="canonical" href="https://e.org"><img alt="" src="http://f.org">'
    )
    assert list(external_loads(page)) == ["https://b.org/b.js", "//d.org/d.css", "http://f.org"]
