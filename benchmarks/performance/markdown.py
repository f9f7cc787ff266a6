"""The record of the performance benchmark as a page: targets, growth and peak memory, to be read beside the picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from performance.table import ratio_text
from shared.tables import markdown


def page(record: Mapping[str, Any]) -> str:
    """All of it, in Markdown."""
    met = sum(target["met"] for target in record["targets"])
    machine = record["machine"]
    head = (
        f"`{record['command']}`, commit {record['commit']}, {machine['threads']} of {machine['cores']} cores "
        f"({machine['processor']}), torch {record['versions']['torch']}: "
        f"{met} of {len(record['targets'])} targets are met."
    )
    parts = ["# Performance: the reference run", head, "## Targets", _targets(record["targets"])]
    if record["trials"]:
        parts += ["## Done once", _trials(record["trials"])]
    for section, axes in record["growth"].items():
        parts += [f"## Growth: {section}", "Exponents of time.", _growth(axes)]
    for section in dict.fromkeys(race["section"] for race in record["races"]):
        parts += [f"## Times and peak memory: {section}", _races(record["races"], section)]
    return "\n\n".join(parts) + "\n"


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for target in targets:
        bound, found = target["at_most"], target["found"]
        over = {"time": f"time over that of {target.get('over')}", "growth": "exponent", "trial": "seconds"}
        met = "met" if target["met"] else "**missed**"
        rows.append([target["where"], target["contender"], over[target["kind"]], f"{bound:.3g}", f"{found:.3g}", met])
    return markdown(["where", "contender", "what", "at most", "found", ""], rows)


def _trials(trials: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [trial["name"], what, f"{value:.2f}" if what == "seconds" else str(value)]
        for trial in trials
        for what, value in trial["found"].items()
    ]
    return markdown(["what", "", "found"], rows)


def _growth(axes: Mapping[str, Mapping[str, float | None]]) -> str:
    names = dict.fromkeys(name for by_name in axes.values() for name in by_name)
    rows = [[name, *(_number(by_name.get(name)) for by_name in axes.values())] for name in names]
    return markdown(["", *(f"with {axis}" for axis in axes)], [row for row in rows if any(row[1:])])


def _races(races: Iterable[Mapping[str, Any]], section: str) -> str:
    rows = []
    for race in races:
        for name, found in race["contenders"].items() if race["section"] == section else ():
            cells = [f"{1e3 * found['seconds']:.4g}", f"{found['peak_bytes'] / 2**20:.1f}"]
            rows.append([race["name"], name, *cells, ratio_text(found["over_reference"])])
    return markdown(["race", "contender", "ms", "peak MiB", "against the reference"], rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
