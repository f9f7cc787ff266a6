"""The code of README.md, and of the page on the estimator, runs as it stands, in the order in which it is read."""

import re
from pathlib import Path

import pytest
import torch
from nflows.flows import Flow

import nflows_spread
import nflows_spread.fitting
from nflows_spread import DegenerateGaussian, base_of, volume_error
from nflows_spread.annealing import trained_by
from nflows_spread.models import coupling_flow
from nflows_spread.recipe import Recipe
from support import randomize

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
SHORT = Recipe(steps=20, layers=2, hidden_features=8, bins=4)
FEATURES = 3

pytestmark = pytest.mark.skipif(not README.exists(), reason="README.md is in the source tree, and this is not one")


def snippets(page):
    """The blocks of code on a page, in their order."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def surface(rows=200):
    t = 3.0 * torch.rand(rows, 2, generator=torch.Generator().manual_seed(0))
    return torch.stack([t[:, 0].cos(), t[:, 0].sin(), t[:, 1]], dim=1)


def names_of_a_reader():
    """What the prose says that the reader has: a model's layers, its data, and the number of its features."""
    flow = coupling_flow(FEATURES, layers=2)
    return {"D": FEATURES, "x": surface(), "X": surface().numpy(), "transform": next(flow.children())}


@pytest.fixture
def _trained_briefly(monkeypatch):
    """The estimator trains for a few steps, where it is not told for how many."""
    pytest.importorskip("lightning_fabric")

    def briefly(recipe, x, **options):
        assert recipe == Recipe()  # as "nothing to set" says
        return trained_by(SHORT, x, **options)

    monkeypatch.setattr(nflows_spread.fitting, "trained_by", briefly)


@pytest.mark.usefixtures("_trained_briefly")
def test_the_code_runs_from_top_to_bottom():
    nf = pytest.importorskip("normflows")
    names = names_of_a_reader()
    names |= {"nf": nf, "flows": [nf.flows.AffineCouplingBlock(nf.nets.MLP([2, 8, 2])), nf.flows.Permute(FEATURES)]}
    for code in snippets(README):
        exec(compile(code, "README.md", "exec"), names)
    assert isinstance(base_of(names["flow"]), DegenerateGaussian)
    assert torch.isfinite(names["loss"])
    assert names["estimator"].n_features_in_ == FEATURES


@pytest.mark.usefixtures("_trained_briefly")
def test_the_code_of_the_page_on_the_estimator_runs():
    names = names_of_a_reader()
    for code in snippets(ROOT / "docs" / "intrinsic_dimension.md"):
        exec(compile(code, "intrinsic_dimension.md", "exec"), names)
    assert names["estimator"].n_features_in_ == FEATURES


def test_the_three_lines_leave_a_flow_that_trains():
    names = names_of_a_reader()
    exec(compile(snippets(README)[0], "README.md", "exec"), names)
    names["loss"].backward()
    assert isinstance(names["flow"], Flow)
    assert all(torch.isfinite(p.grad).all() for p in names["flow"].parameters() if p.grad is not None)
    assert base_of(names["flow"]).factor.entries.grad.abs().sum() > 0


def test_a_converted_flow_has_the_volume_error_that_the_text_promises():
    names = names_of_a_reader()
    names["flow"] = randomize(coupling_flow(FEATURES, layers=2, volume_preserving=False))
    names["DegenerateGaussian"] = DegenerateGaussian  # which the first snippet imports
    assert volume_error(names["flow"], names["x"]) > 0.01
    code = next(code for code in snippets(README) if "to_volume_preserving(flow)" in code)
    exec(compile(code, "README.md", "exec"), names)
    assert volume_error(names["flow"], names["x"]) < 1e-5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_every_page_is_code(page):
    for code in snippets(page):
        compile(code, page.name, "exec")


def test_every_public_name_is_on_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in nflows_spread.__all__ if not re.search(rf"\b{name}\b", text)] == []
