"""Declarations of the experiments: each profile of each, what they are described by, and their schedules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from paper.schedules import Constant, Cosine, Course, Geometric, Staircase

from paper import experiments
from paper.command import SHORT_SUITE
from paper.experiment import PROFILES
from paper.settings import digest, settings_of

pytest.importorskip("sklearn")


def test_the_documentation_has_a_line_for_every_experiment() -> None:
    root = Path(__file__).parents[3]
    if not (root / "README.md").exists():
        pytest.skip("the documentation is in the source tree, and this is not one")
    text = "".join(page.read_text(encoding="utf-8") for page in (root / "README.md", *(root / "docs").glob("*.md")))
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


@pytest.mark.parametrize(
    ("course", "values"),
    [
        (Constant(0.3), {0: 0.3, 299: 0.3}),
        (Geometric(0.4, 0.1, until=0.5), {0: 0.4, 75: 0.2, 150: 0.1, 299: 0.1}),
        (Cosine(1.0, 0.0), {0: 1.0, 150: 0.5, 300: 0.0}),
        (Staircase(1.0, 0.9, every=1 / 30, after=1 / 3, floor=0.75), {109: 1.0, 110: 0.9, 120: 0.81, 299: 0.75}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_course_goes_by_shares_of_the_steps(course: Course, values: dict[int, float]) -> None:
    for scale in (1, 1000):
        curve = course.over(300 * scale)
        assert [curve(step * scale) for step in values] == pytest.approx(list(values.values()))
