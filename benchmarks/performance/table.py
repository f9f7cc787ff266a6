"""The one table of the performance benchmark, from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.tables import aligned

_COLUMNS = (("", 40), ("ms", 11), ("quartiles", 21), ("rounds", 7), ("peak MiB", 10), ("over reference", 16))


def header() -> str:
    """The names of the columns."""
    return _line([name for name, _ in _COLUMNS])


def of_race(race: Mapping[str, Any]) -> str:
    """The rows of one race: its name, a line a contender, and what was wanted of it."""
    lines = [f"{race['name']}; reference: {race['reference']}"]
    for name, found in race["contenders"].items():
        low, high = found["quartiles"]
        cells = [
            f"  {name}",
            _milliseconds(found["seconds"]),
            f"{_milliseconds(low)} to {_milliseconds(high)}",
            str(found["rounds"]),
            f"{found['peak_bytes'] / 2**20:.1f}",
            ratio_text(found["over_reference"]),
        ]
        lines.append(_line(cells))
    lines += [f"  {name}: left out, {why}" for name, why in race["absent"].items()]
    return "\n".join([*lines, *(f"  target: {target_text(target)}" for target in race["targets"])])


def of_trial(trial: Mapping[str, Any]) -> str:
    """What was done, how long it took, and what was wanted of it."""
    found = ", ".join(f"{key} {value}" for key, value in trial["found"].items() if key != "seconds")
    lines = [f"{trial['name']}: {trial['found']['seconds']:.1f} s, {found}"]
    return "\n".join([*lines, *(f"  target: {target_text(target)}" for target in trial["targets"])])


def of_growth(growth: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> str:
    """With which exponents times grow along each axis."""
    lines = []
    for section, axes in growth.items():
        for axis, exponents in axes.items():
            lines.append(f"{section}: with {axis} time grows as {axis} to the power of")
            lines += [f"  {name:40}{value:6.2f}" for name, value in exponents.items() if value is not None]
    return "\n".join(lines)


def of_targets(targets: Sequence[Mapping[str, Any]]) -> str:
    """How many are met, and what is missed, with what was tried."""
    missed = [target for target in targets if not target["met"]]
    lines = [f"{len(targets) - len(missed)} of {len(targets)} targets are met"]
    for target in missed:
        lines.append(f"  missed: {target['where']}: {target_text(target)}")
        lines += [f"    tried: {target['tried']}"] if target["tried"] else []
    return "\n".join(lines)


def ratio_text(ratio: float) -> str:
    """A time over another one, in words that leave no doubt about which is faster."""
    return f"{1.0 / ratio:.3g}× faster" if ratio < 0.995 else f"{ratio:.2f}× the time"


def target_text(target: Mapping[str, Any]) -> str:
    """What was found, the bound, and whether it is met."""
    bound, name = target["at_most"], target["contender"]
    if target["kind"] == "growth":
        return f"{name}: power {target['found']:.2f}, at most {bound:g}: {_met(target)}"
    if target["kind"] == "trial":
        expected = "".join(f" and {key} {value}" for key, value in target["expected"].items())
        return f"{name}: {target['found']:.1f} s, at most {bound:g} s{expected}: {_met(target)}"
    wanted = f"at least {1.0 / bound:.3g}× faster than" if bound < 1.0 else f"at most {bound:g}× the time of"
    return f"{name}: {ratio_text(target['found'])}, {wanted} {target['over']}: {_met(target)}"


def _met(target: Mapping[str, Any]) -> str:
    return "met" if target["met"] else "MISSED"


def _line(cells: Sequence[str]) -> str:
    return aligned([cells], widths=[width for _, width in _COLUMNS], right=True, gap="")


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}" if seconds < 1e-2 else f"{1e3 * seconds:.1f}"
