"""Stale reference results: ``run.py stale`` lists those whose code has changed since they were made."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared import records
from shared.code_digest import changed_code, code_of
from shared.command import RESULTS, Command, Work

REFERENCE = RESULTS / "reference"


@dataclass(frozen=True)
class Stale:
    """A reference result, and what has changed since.

    Attributes:
        name: of its file.
        command: that made it.
        commit: at which.
        changed: folders of code that it depends on and that have changed; empty where the record does not know them.
        seconds: processor time that it took, or None where the record does not say.
    """

    name: str
    command: str
    commit: str
    changed: tuple[str, ...]
    seconds: float | None

    def __str__(self) -> str:
        since = ", ".join(self.changed) if self.changed else "from before records knew their code"
        cost = "" if self.seconds is None else f", {self.seconds:.0f} s"
        return f"{self.name} ({self.commit}{cost}): {since}"


def stale_results(folder: Path = REFERENCE) -> Iterator[Stale]:
    """Those in a folder whose code has changed, or that do not know their code, by name."""
    for path in sorted(folder.glob("*.json")):
        record = records.read(path)
        run: dict[str, Any] = (record.get("runs") or [record])[-1]
        code = code_of(record)
        changed = () if code is None else tuple(changed_code(code))
        if code is None or changed:
            yield Stale(path.name, run["command"], run["commit"], changed, run.get("processor_seconds"))


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    def work() -> None:
        found = list(stale_results())
        for each in found:
            print(each)
        print(f"{len(found)} of {len(list(REFERENCE.glob('*.json')))} reference results are stale")

    return work


COMMAND = Command("stale", __doc__, lambda parser: None, _prepare)
