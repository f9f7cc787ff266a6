"""The one table of the performance benchmark, from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_HEADER = ("", "ms", "quartiles", "rounds", "peak MiB", "over the reference", "target")


def of_race(race: Mapping[str, Any]) -> list[Sequence[str]]:
    """The rows of one race, the name of the race first."""
    rows: list[Sequence[str]] = [(f"{race['name']}; reference: {race['reference']}",)]
    for name, found in race["contenders"].items():
        low, high = found["quartiles"]
        verdicts = [target_text(target) for target in race["targets"] if target["contender"] == name]
        rows.append(
            (
                f"  {name}",
                _milliseconds(found["seconds"]),
                f"{_milliseconds(low)} to {_milliseconds(high)}",
                str(found["rounds"]),
                f"{found['peak_bytes'] / 2**20:.1f}",
                ratio_text(found["over_reference"]),
                "; ".join(verdicts),
            )
        )
    return rows + [(f"  {name}: left out, {why}",) for name, why in race["absent"].items()]


def of_trial(trial: Mapping[str, Any]) -> list[Sequence[str]]:
    """One line."""
    found = ", ".join(f"{key} {value}" for key, value in trial["found"].items() if key != "seconds")
    verdict = "met" if trial["met"] else "MISSED"
    return [
        (f"{trial['name']}: {trial['found']['seconds']:.1f} s, {found} (at most {trial['at_most']:g} s: {verdict})",)
    ]


def of_growth(growth: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> list[Sequence[str]]:
    """With which exponents times grow along each axis."""
    rows: list[Sequence[str]] = []
    for section, axes in growth.items():
        for axis, exponents in axes.items():
            shown = ", ".join(f"{name} {value:.2f}" for name, value in exponents.items() if value is not None)
            rows.append((f"{section}: time grows as {axis} to the power of: {shown}",))
    return rows


def of_targets(targets: Sequence[Mapping[str, Any]]) -> list[Sequence[str]]:
    """What is missed, with what was tried, and how much is met."""
    missed = [target for target in targets if not target["met"]]
    rows: list[Sequence[str]] = [(f"{len(targets) - len(missed)} of {len(targets)} targets are met",)]
    for target in missed:
        tried = f"; tried: {target['tried']}" if target["tried"] else ""
        rows.append((f"  missed: {target['where']}, {target_text(target)}{tried}",))
    return rows


def text(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns; a row of one cell goes across."""
    wide = [row for row in (_HEADER, *rows) if len(row) > 1]
    widths = [max(len(row[i]) for row in wide) for i in range(len(_HEADER))]
    lines = []
    for row in rows:
        cells = (cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        lines.append(row[0] if len(row) == 1 else "  ".join(cells).rstrip())
    return "\n".join(lines)


def header() -> Sequence[str]:
    """The names of the columns."""
    return _HEADER


def ratio_text(ratio: float | None) -> str:
    """A time over another one, in words that leave no doubt about which is faster."""
    if ratio is None:
        return "–"
    return f"{1 / ratio:.3g}× faster" if ratio < 0.995 else f"{ratio:.2f}× the time"


def target_text(target: Mapping[str, Any]) -> str:
    """The bound, what was found, and the verdict."""
    verdict = "met" if target["met"] else "MISSED"
    if target["kind"] == "growth":
        return f"{target['contender']}: power {target['found']:.2f}, at most {target['at_most']:g}: {verdict}"
    bound = target["at_most"]
    wanted = f"at least {1 / bound:.3g}× faster" if bound < 1 else f"at most {bound:g}× the time"
    found = "" if target["over_is_reference"] else f"{ratio_text(target['found'])}, "
    return (
        f"{found}{wanted} of {target['over']}: {verdict}"
        if bound >= 1
        else f"{found}{wanted} than {target['over']}: {verdict}"
    )


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}" if seconds < 1e-2 else f"{1e3 * seconds:.1f}"
