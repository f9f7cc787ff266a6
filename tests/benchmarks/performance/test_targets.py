"""Targets of the performance benchmark: one table holds them all, and each is asked for by a race or a trial."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from pathlib import Path

from performance import command, couplings, glow_step, prior_precision, targets
from performance.races import GrowthTarget, Target

TABLES = [targets.PRIOR, targets.COUPLINGS, targets.GLOW, targets.PIECES]
SINGLE = [targets.TRAINING, targets.TOY_LOOP]


def everything():
    return [target for table in TABLES for row in table.values() for target in row] + [t for row in SINGLE for t in row]


def test_every_target_is_that_of_one_race_and_of_contenders_that_are_there(monkeypatch):
    for section in (couplings, glow_step):
        monkeypatch.setattr(section, "find_spec", lambda package: "installed")
    asked = []
    for section in command.SECTIONS.values():
        for race in section.races(False):
            asked += race.targets
            for target in race.targets:
                assert {target.contender, target.over} <= race.contenders.keys() | race.absent.keys()
    assert Counter(asked) == Counter(everything())


def test_bounds_are_above_zero_and_those_over_a_peer_at_most_one():
    assert all(target.at_most > 0.0 for target in everything())
    peers = ("nflows", "normflows", "FrEIA", "MultivariateNormal", "LowRankMultivariateNormal", "the plain loop")
    assert all(target.at_most <= 1.0 for target in everything() if target.over.startswith(peers))


def test_exponents_errors_and_seconds_are_those_of_the_table():
    assert [target for section in command.SECTIONS.values() for target in section.growth] == [targets.PRIOR_GROWTH]
    assert isinstance(targets.PRIOR_GROWTH, GrowthTarget)
    trials = [trial for section in command.SECTIONS.values() for trial in section.trials(False)]
    seconds = {trial.at_most for trial in trials}
    assert seconds == {targets.PRIOR_PRECISION_SECONDS, targets.S_CURVE_SECONDS, targets.FIT_SECONDS}


def test_an_error_above_that_of_the_table_is_not_kept(monkeypatch):
    assert prior_precision.compared(8, 1.0)["kept"]
    monkeypatch.setattr(targets, "PRIOR_ERROR", 1e-12)
    assert not prior_precision.compared(8, 1.0)["kept"]


def test_no_other_file_makes_a_target():
    folder = Path(inspect.getfile(targets)).parent
    made = {
        file.name
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (Target.__name__, GrowthTarget.__name__)
    }
    assert made == {"targets.py"}
