"""Running races and trials, and the record of what they gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from performance.races import GrowthTarget, Race, Target, Trial
from performance.timing import Measured, compare, exponent


def run_race(race: Race, *, rounds: int, budget: float, clock: str) -> dict[str, Any]:
    """Build the contenders, let them take turns, check the targets."""
    steps = {name: build() for name, build in race.contenders.items()}
    rounds = rounds if race.rounds is None else min(rounds, race.rounds)
    measured = compare(steps, rounds, race.seconds, budget=budget, repeats=race.repeats, clock=clock)
    reference = measured[race.reference]
    return {
        "section": race.section,
        "name": race.name,
        "reference": race.reference,
        "series": dict(race.series),
        "contenders": {name: found.as_json(reference) for name, found in measured.items()},
        "absent": dict(race.absent),
        "targets": [
            check_target(race, target, measured)
            for target in race.targets
            if {target.contender, target.over} <= measured.keys()
        ],
    }


def check_target(race: Race, target: Target, measured: Mapping[str, Measured]) -> dict[str, Any]:
    """A target with what was found."""
    found = measured[target.contender].over(measured[target.over])
    return {
        "kind": "time",
        "where": race.name,
        "contender": target.contender,
        "over": target.over,
        "at_most": target.at_most,
        "found": found,
        "met": found <= target.at_most,
        "tried": target.tried,
    }


def run_trial(trial: Trial) -> dict[str, Any]:
    """Do it once."""
    found = dict(trial.run())
    as_expected = all(found.get(key) == value for key, value in trial.expected.items())
    target = {
        "kind": "trial",
        "where": trial.name,
        "contender": "once",
        "expected": dict(trial.expected),
        "at_most": trial.at_most,
        "found": found["seconds"],
        "met": as_expected and found["seconds"] <= trial.at_most,
        "tried": "",
    }
    return {"section": trial.section, "name": trial.name, "found": found, "targets": [target]}


def growth_of(races: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """By section, axis and contender, the exponent with which time grows; None for one size alone."""
    points: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for race in races:
        for axis, place in race["series"].items():
            for name, found in race["contenders"].items():
                by_name = points.setdefault(race["section"], {}).setdefault(axis, {})
                by_name.setdefault(name, []).append((place, found["seconds"]))
    return {
        section: {axis: {name: exponent(found) for name, found in by_name.items()} for axis, by_name in by_axis.items()}
        for section, by_axis in points.items()
    }


def check_growth(
    targets: Sequence[GrowthTarget], growth: Mapping[str, Mapping[str, Mapping[str, float | None]]]
) -> list[dict[str, Any]]:
    """The bounds on exponents that could be fitted."""
    checked = []
    for target in targets:
        found = growth.get(target.section, {}).get(target.axis, {}).get(target.contender)
        if found is not None:
            checked.append(
                {
                    "kind": "growth",
                    "where": f"{target.section}, growth with {target.axis}",
                    "contender": target.contender,
                    "at_most": target.at_most,
                    "found": found,
                    "met": found <= target.at_most,
                    "tried": "",
                }
            )
    return checked
