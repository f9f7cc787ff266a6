"""Declarations of the experiments: each profile of each and what they are described by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paper import experiments
from paper.command import SHORT_SUITE
from paper.experiment import PROFILES
from paper.settings import digest, settings_of

pytest.importorskip("sklearn")


def test_the_documentation_has_a_line_for_every_experiment() -> None:
    page = Path(__file__).parents[3] / "docs" / "paper.md"
    if not page.exists():
        pytest.skip("docs/ is in the source tree, and this is not one")
    text = page.read_text(encoding="utf-8")
    assert [name for name in experiments.names() if f"`{name}`" not in text] == []


def test_the_short_suite_is_made_of_experiments() -> None:
    assert set(SHORT_SUITE) <= set(experiments.names())


def test_every_profile_of_every_experiment_is_a_declaration() -> None:
    for name in experiments.names():
        declared = experiments.load(name)
        assert set(declared.profiles) <= set(PROFILES)
        for profile in PROFILES:
            at = declared.at(profile)
            assert at.rows > 0
            settings = [settings_of(at.of(variant)) for variant in at.variants]
            assert json.loads(json.dumps(settings)) == settings
            assert len({digest(at.of(variant)) for variant in at.variants}) == len(at.variants)
            assert "lambda" not in json.dumps(settings)


def test_an_unknown_profile_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="quick, full, paper, got 'long'"):
        experiments.load("line").at("long")
