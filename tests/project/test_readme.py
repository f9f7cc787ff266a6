"""The code of README.md and of docs/ runs as it stands, in the order in which it is read."""

import ast
import hashlib
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from nflows.flows import Flow

import nflows_spread
import page_code
from nflows_spread import DegenerateGaussian, base_of, volume_error
from nflows_spread.models import coupling_flow
from page_code import snippets, train_briefly
from support import randomize

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
FEATURES = 3
LONGEST = 140
EXTRAS = ["lightning_fabric", "lightning", "tqdm", "sklearn", "scipy", "matplotlib", "normflows", "PIL", "pandas"]

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="docs/ is in the source tree, and this is not one")


def run(code, names, page=README):
    page_code.run(code, names, page)


def surface(rows=200):
    t = 3.0 * torch.rand(rows, 2, generator=torch.Generator().manual_seed(0))
    return torch.stack([t[:, 0].cos(), t[:, 0].sin(), t[:, 1]], dim=1)


def names_of_a_reader():
    """What the prose of a page says that the reader has: data, and the number of its features."""
    return {"D": FEATURES, "x": surface(), "X": surface().numpy()}


@pytest.fixture
def _trained_briefly(monkeypatch):
    """The estimator trains for a few steps, where it is not told for how many."""
    pytest.importorskip("lightning_fabric")
    train_briefly(monkeypatch)


def test_the_first_steps_run_with_the_core_alone():
    """Where no package of an extra can be imported; nflows brings some of them along, so it comes first."""
    code = snippets(README)[0]
    assert code.count("range(2000)") == 1
    hidden = f"import sys, nflows.flows\nsys.modules.update(dict.fromkeys(set({EXTRAS}) - set(sys.modules)))\n"
    done = subprocess.run(
        [sys.executable, "-c", hidden + code.replace("range(2000)", "range(20)")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    said = r"dimension [12], by a gap of [\d.]+ nats\ncoordinates \(5000, [12]\); half of the samples within [\d.]+"
    assert re.match(said, done.stdout), done.stderr


def test_what_the_first_steps_print_is_what_they_were_seen_to_print():
    """``python docs/overview.py`` runs them and writes the record; a change of the code asks for a new one."""
    record = json.loads((DOCS / "overview.json").read_text(encoding="utf-8"))
    assert record["code"] == hashlib.sha256(snippets(README)[0].encode()).hexdigest()
    printed = re.search(r"^It prints\n\n```\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert printed[1].splitlines() == record["printed"]
    assert (DOCS / "overview.png").exists()


@pytest.mark.usefixtures("_trained_briefly")
def test_the_code_can_be_copied_from_top_to_bottom():
    """The read-outs of the page on the API come after it, for the last flow there is."""
    pytest.importorskip("normflows")
    names = {}
    for code in snippets(README) + snippets(DOCS / "api.md"):
        run(code.replace("range(2000)", "range(20)"), names)
    assert isinstance(base_of(names["flow"]), DegenerateGaussian)
    assert torch.isfinite(names["loss"])
    assert names["estimator"].n_features_in_ == names["D"]


@pytest.mark.usefixtures("_trained_briefly")
def test_the_code_of_the_page_on_the_estimator_runs():
    page = DOCS / "intrinsic_dimension.md"
    names = names_of_a_reader()
    for code in snippets(page):
        run(code, names, page)
    assert names["estimator"].n_features_in_ == FEATURES


def test_the_code_of_the_page_on_priors_runs():
    page = DOCS / "priors.md"
    names = {}
    for code in snippets(page):
        run(code, names, page)
    torch.testing.assert_close(names["small"].covariance, names["base"].covariance)


def test_the_code_of_the_page_on_atlases_runs():
    pytest.importorskip("lightning_fabric")
    page, names = DOCS / "atlas.md", {}
    for code in snippets(page):
        assert code.count("steps=1500") == 1
        run(code.replace("steps=1500", "steps=20"), names, page)
    assert sorted(component.dimension for component in names["atlas"].components)[0] >= 1
    assert names["labels"].shape == (4000,)
    assert names["samples"].shape == (1000, 3)


def test_the_three_lines_leave_a_flow_that_trains():
    names = {"x": torch.randn(50, 2)}
    run(snippets(README)[1], names)
    names["loss"].backward()
    assert isinstance(names["flow"], Flow)
    assert all(torch.isfinite(p.grad).all() for p in names["flow"].parameters() if p.grad is not None)
    assert base_of(names["flow"]).factor.entries.grad.abs().sum() > 0


def test_the_lines_that_ask_for_coordinates_leave_a_loss_that_trains():
    page, names = DOCS / "training.md", names_of_a_reader()
    names["flow"] = randomize(coupling_flow(FEATURES, layers=2), 0.1)
    base_of(names["flow"]).data_noise = 0.1
    run(next(code for code in snippets(page) if "ChartLoss" in code), names, page)
    names["objective"](names["x"]).backward()
    assert names["flow"].training


@pytest.mark.parametrize("page", [README, DOCS / "conversion.md"], ids=lambda page: page.name)
def test_a_converted_flow_has_the_volume_error_that_the_text_promises(page):
    names = names_of_a_reader()
    names["flow"] = randomize(coupling_flow(FEATURES, layers=2, volume_preserving=False))
    names["DegenerateGaussian"] = DegenerateGaussian  # which an earlier snippet imports
    assert volume_error(names["flow"], names["x"]) > 0.01
    run(next(code for code in snippets(page) if "to_volume_preserving(flow)" in code), names, page)
    assert volume_error(names["flow"], names["x"]) < 1e-5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_every_page_is_code(page):
    for code in snippets(page):
        compile(code, page.name, "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_code_of_a_page_imports_from_here_exists(page):
    nodes = [node for code in snippets(page) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if node.module.partition(".")[0] == "nflows_spread"]
    if any(node.module == "nflows_spread.training" for node in ours):
        pytest.importorskip("lightning_fabric")
    missing = [a.name for node in ours for a in node.names if not hasattr(import_module(node.module), a.name)]
    assert missing == []


def test_every_public_name_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in nflows_spread.__all__ if not re.search(rf"\b{name}\b", text)] == []


def test_the_readme_is_short_and_leads_to_every_page_with_the_first_one_of_the_documentation():
    text, first = README.read_text(encoding="utf-8"), DOCS / "index.md"
    assert len(text.splitlines()) <= LONGEST
    pages = text.replace("](docs/", "](") + first.read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if page != first and f"]({page.name})" not in pages] == []
