"""Code of Markdown pages: its blocks, what they print, and a training of the estimator that is over in a moment."""

import contextlib
import io
import re

import nflows_spread.estimator.fitting
from nflows_spread.estimator import Recipe
from nflows_spread.estimator.annealing import trained_by
from nflows_spread.estimator.chart_fitting import chart_at

SHORT = Recipe(steps=20, layers=2, hidden_features=8, bins=4)


def snippets(page):
    """The blocks of code on a page, in their order."""
    return [code for code, _ in blocks(page.read_text(encoding="utf-8"))]


def blocks(text):
    """Each block of Python with the block without a language that follows it at once, what it prints, or "" ."""
    found = re.findall(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```$)?", text, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == len(re.findall(r"^```python$", text, flags=re.MULTILINE))
    return found


def sections(page):
    """The text under each title of the second level."""
    _, *parts = re.split(r"^## ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def run(code, names, page):
    """What a block prints; its names are added."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, page.name, "exec"), names)
    return printed.getvalue()


def train_briefly(monkeypatch):
    """Let the estimator train, its chart too, for a few steps, where it is not told for how many."""

    def briefly(recipe, x, **options):
        assert recipe == Recipe()  # as "nothing to set" says
        return trained_by(SHORT, x, **options)

    def charted_briefly(*rows, recipe, **options):
        return chart_at(*rows, recipe=SHORT, **options)

    monkeypatch.setattr(nflows_spread.estimator.fitting, "trained_by", briefly)
    monkeypatch.setattr(nflows_spread.estimator.fitting, "chart_at", charted_briefly)
