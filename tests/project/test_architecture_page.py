"""``docs/architecture.md`` and its picture show layers and imports as they are."""

import json
import re
import runpy
from pathlib import Path

import pytest

from import_graph import import_graph, without_shortcuts

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
AGAIN = "python docs/architecture.py draws it again"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="docs/ is in the source tree, and this is not one")


@pytest.fixture(scope="module")
def command():
    return runpy.run_path(str(DOCS / "architecture.py"))


def test_the_picture_is_of_the_imports_as_they_are(command):
    text = (DOCS / "architecture.json").read_text(encoding="utf-8")
    assert text == command["text_of"](command["graph"]()), AGAIN
    assert command["digest"](text).encode() in (DOCS / "architecture.png").read_bytes(), AGAIN


def test_the_page_says_what_every_part_answers():
    layers = [
        layer for tree in json.loads((DOCS / "architecture.json").read_text()).values() for layer in tree["layers"]
    ]
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert [part for layer in layers for part in layer if f"`{part}`" not in page] == []


def test_a_row_of_the_page_has_the_number_of_its_layer_in_the_picture():
    layers = json.loads((DOCS / "architecture.json").read_text())["nflows_spread"]["layers"]
    rows = re.findall(r"^\| (\d+) .+ \| (.+) \|$", (DOCS / "architecture.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == len(layers) - 1  # that of the old places is in the text
    for number, modules in rows:
        parts = {"__init__"} if "__init__" in modules else set(re.findall(r"`(\w+)`", modules))
        assert parts == set(layers[int(number)])


def test_the_page_says_of_twenty_things_where_they_are_set_and_tested():
    """Whether the files are there is a test of ``test_links.py``."""
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", page[page.index("## Where is") :], flags=re.MULTILINE)[2:]
    assert len(rows) >= 20
    for what, where, tests in rows:
        assert re.search(r"`(nflows_spread|benchmarks)/", where), what
        assert "`tests/" in tests, what


def test_imports_are_read_wherever_they_stand(tmp_path):
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "__init__.py").write_text("import os\n")
    (tmp_path / "middle.py").write_text("def f():\n    from house.low import thing\n    return thing\n")
    (tmp_path / "high.py").write_text("import house.middle\nfrom house import low, VERSION\n")
    assert import_graph(tmp_path, "house") == {"low": set(), "middle": {"low"}, "high": {"middle", "low", "__init__"}}
    (tmp_path / "high.py").write_text("import middle\nfrom low import thing\nimport torch\n")
    assert import_graph(tmp_path)["high"] == {"middle", "low"}


def test_arrows_that_a_longer_way_makes_superfluous_are_left_out():
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert without_shortcuts(graph) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}
