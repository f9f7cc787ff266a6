"""Record of a benchmark run: a JSON file with its provenance, that is command, commit, code, versions and machine."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import nflows_spread
from shared.code_digest import loaded_code

_CPUINFO = Path("/proc/cpuinfo")


def record(
    experiment: str,
    command: str,
    *,
    run: Mapping[str, object],
    found: Mapping[str, object],
    packages: Iterable[str] = (),
) -> dict[str, Any]:
    """The record of one run, with the processor time of this process so far.

    Args:
        experiment: its name.
        command: what makes this result again.
        run: what tells this run from others of the experiment, such as its seed.
        found: what came out.
        packages: beside torch and nflows, those whose versions matter.
    """
    took = {"processor_seconds": round(time.process_time(), 1)}
    return {"experiment": experiment, **run, **provenance(command, packages), **took, **found}


def provenance(command: str, packages: Iterable[str] = (), *, jobs: int | None = None) -> dict[str, Any]:
    """Command, commit, digests of the code, versions (None of a package that is not installed) and machine of a run.

    With ``jobs`` the work is done in so many processes, whose threads are those that the environment says, or one.
    """
    of_jobs = {} if jobs is None else {"threads": int(os.environ.get("OMP_NUM_THREADS", "1")), "jobs": jobs}
    return {
        "command": command,
        "commit": _commit(),
        "code": loaded_code(),
        "versions": {
            "nflows-spread": nflows_spread.__version__,
            "torch": torch.__version__,
            "nflows": version("nflows"),
            "python": platform.python_version(),
            **{package: _version(package) for package in packages},
        },
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            **of_jobs,
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


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
    return shlex.join(["python", "benchmarks/run.py", *([name] if name else []), *kept])


def read(path: Path) -> dict[str, Any]:
    """The record in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON object.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"a record must be a JSON object, got a {type(content).__name__} in {path}")
    return content


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file aside and move it into its place, so that no half-written result is left."""
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(content, indent=1) + "\n")
    aside.replace(path)


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
