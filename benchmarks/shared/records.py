"""What a run leaves behind: a table on the screen and a JSON file that says where its numbers come from."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import nflows_spread

_CPUINFO = Path("/proc/cpuinfo")


def provenance(command: str) -> dict[str, Any]:
    """Command, commit, versions and machine of this run."""
    return {
        "command": command,
        "commit": _commit(),
        "versions": {
            "nflows-spread": nflows_spread.__version__,
            "torch": torch.__version__,
            "nflows": version("nflows"),
            "python": platform.python_version(),
        },
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _processor() -> str:
    """Name, family and model where the system tells them: ratios of times depend on them; else the architecture."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    if "model name" not in facts:
        return platform.machine()
    return f"{facts['model name']}, family {facts.get('cpu family')}, model {facts.get('model')}"


def command_line(name: str, given: Sequence[str]) -> str:
    """The command that makes this result again: the arguments without the folder, which is this machine's affair."""
    kept: list[str] = []
    skip = False
    for argument in given:
        if not skip and argument != "--out" and not argument.startswith("--out="):
            kept.append(argument)
        skip = argument == "--out"
    return shlex.join(["python", "benchmarks/run.py", name, *kept])


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file aside and move it into its place, so that no half-written result is left."""
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


def columns(record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The numbers of a record as a table: its header, and a row for each flow.

    Single numbers have a column each, and so has the dimension by each rule; spectra and other lists are left out.
    """
    flows = {name: _flat(result) for name, result in record["results"].items()}
    header = list(dict.fromkeys(name for numbers in flows.values() for name in numbers))
    rows = [[flow, *(_cell(numbers.get(name)) for name in header)] for flow, numbers in flows.items()]
    return ["flow", *(name.replace("_", " ") for name in header)], rows


def table(record: Mapping[str, Any]) -> str:
    """The same as text, with a line that says which run it is."""
    header, rows = columns(record)
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)
    return f"{record['experiment']}, {record['profile']}, seed {record['seed']}\n{text}"


def _flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """Single values alone, those of nested tables under both names."""
    flat: dict[str, Any] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": item for inner, item in _flat(value).items()}
        elif not isinstance(value, list):
            flat[name] = value
    return flat


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _commit() -> str | None:
    """The commit of the working tree, marked when it has changes; None outside a repository."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
