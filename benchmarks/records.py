"""What a run leaves behind: a table on the screen and a JSON file that says where its numbers come from."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import nflows_spread
from outcomes import Outcome

_HEADER = (
    "experiment",
    "seed",
    "flow",
    "true",
    "s/n",
    "gap",
    "rank",
    "distance",
    "median",
    "held-out nll",
    "TV",
    "seconds",
)


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
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file aside and move it into its place, so that no half-written result is left."""
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


def table(rows: Iterable[tuple[str, int, Outcome]]) -> str:
    """The table of experiments, seeds and flows: true dimension, each rule's estimate, quality and time."""
    lines = [_HEADER]
    for name, seed, outcome in rows:
        metrics, spread = outcome.metrics, outcome.variant.spread
        by_rule = metrics.dimension if spread else {**metrics.dimension, "gap": "–", "rank": "–"}
        lines.append(
            (
                name,
                str(seed),
                outcome.variant.name,
                "?" if metrics.true_dimension is None else str(metrics.true_dimension),
                *(str(by_rule[rule]) for rule in ("signal_to_noise", "gap", "rank")),
                f"{metrics.sample_distance:.4f}",
                f"{metrics.median_distance:.4f}",
                f"{metrics.held_out_nll:.3f}",
                "–" if metrics.total_variation is None else f"{metrics.total_variation:.3f}",
                f"{metrics.seconds:.1f}",
            )
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


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
