"""The picture of the performance benchmark, from its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_GOOD, _BAD, _OURS, _OTHERS, _REFERENCE = "#9fd3b0", "#f0a898", "#2a6f97", "#b8b8b0", "#555550"
_MARKERS = "osv^Dx+*P"
_FEW_LINES = 5


def draw(path: Path, record: Mapping[str, Any]) -> None:
    """Write it as a PNG: how times grow on the left, what each race gave in the middle, the targets on the right."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bars = [race for race in record["races"] if race["section"] != "prior"]
    axes = [(section, axis) for section, by_axis in record["growth"].items() for axis in by_axis]
    height = max(
        9.0, 4.0 * len(axes), 0.17 * sum(len(race["contenders"]) + 2 for race in bars), 0.3 * len(record["targets"])
    )
    figure = Figure(figsize=(20.0, height), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.0, 1.3, 1.3))
    if axes:
        for place, (section, axis) in zip(left.subplots(len(axes), 1, squeeze=False)[:, 0], axes):
            _growth(place, record["races"], section, axis)
    if bars:
        _bars(middle.subplots(), bars)
    if record["targets"]:
        _targets(right.subplots(), record["targets"])
    machine = record["machine"]
    figure.suptitle(f"{record['command']}: commit {record['commit']}, {machine['threads']} threads", fontsize=11)
    figure.savefig(path, dpi=80)


def _growth(axes: Any, races: Sequence[Mapping[str, Any]], section: str, axis: str) -> None:
    """Seconds of a step over the size, one line a contender."""
    points: dict[str, list[tuple[float, float]]] = {}
    for race in races:
        if race["section"] == section and axis in race["series"]:
            for name, found in race["contenders"].items():
                points.setdefault(name, []).append((race["series"][axis], found["seconds"]))
    for (name, found), marker in zip(points.items(), _MARKERS):
        if len(found) < 2:
            continue
        ours = _is_ours(name)
        axes.loglog(*zip(*sorted(found)), marker=marker, label=name, linewidth=2.0 if ours else 1.0)
    sizes = sorted({size for found in points.values() for size, _ in found})
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])  # those that were run; a decade's ticks run into each other
    axes.set_xticks([], minor=True)
    axes.set_xlabel(axis)
    axes.set_ylabel("seconds, forward and backward")
    axes.set_title(f"{section}: growth with {axis}", fontsize=10)
    if len(axes.lines) > _FEW_LINES:  # room above them for a long legend
        axes.set_ylim(top=200.0 * axes.get_ylim()[1])
    axes.legend(fontsize=7, loc="upper left")
    axes.grid(alpha=0.3)


def _bars(axes: Any, races: Sequence[Mapping[str, Any]]) -> None:
    """Each contender's time over its race's reference, with the median's quartiles in the text."""
    labels, places, place = [], [], 0.0
    for race in races:
        axes.text(0.02, place, race["name"], fontsize=8, fontweight="bold", va="center")
        for name, found in race["contenders"].items():
            place += 1.0
            ratio = found["over_reference"]
            is_reference = name == race["reference"]
            ours = not is_reference and _is_ours(name)
            axes.barh(place, ratio, color=_REFERENCE if is_reference else _OURS if ours else _OTHERS)
            axes.text(ratio + 0.02, place, f"{ratio:.2f}", fontsize=7, va="center")
            labels.append(name)
            places.append(place)
        place += 1.8
    axes.set_yticks(places, labels, fontsize=7)
    axes.set_ylim(place, -1.0)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_title("time over that of the reference", fontsize=10)


def _is_ours(name: str) -> bool:
    return "ours" in name or "Factor" in name or name.startswith("fit")


def _targets(axes: Any, targets: Sequence[Mapping[str, Any]]) -> None:
    """What was found over what is allowed; left of 1 is good."""
    for place, target in enumerate(targets):
        axes.barh(place, target["found"] / target["at_most"], color=_GOOD if target["met"] else _BAD)
        than = {"time": f" over {target.get('over')}", "growth": " (power)", "trial": " (seconds)"}[target["kind"]]
        text = f"{target['where']}: {target['contender']}{than}, {target['found']:.3g} of {target['at_most']:.3g}"
        axes.text(0.01, place, text, fontsize=7, va="center")
    axes.axvline(1.0, color="black", linewidth=1.0)
    axes.set_yticks([])
    axes.set_ylim(len(targets), -1.0)
    axes.set_title("targets: found over allowed; green is met", fontsize=10)
