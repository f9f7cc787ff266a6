"""Run experiments: ``python benchmarks/run.py`` for the short suite, ``run.py list``, ``run.py NAME``."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

import experiment
import pictures
import records
from grids import grid_for
from outcomes import Outcome, measure
from training_runs import train

SHORT_SUITE = ("sine", "line", "s_curve", "digits")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, show. Returns the exit status: 0, or 2 for arguments that cannot be followed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.experiment == "list":
        for name in experiment.names():
            print(f"{name:10} {experiment.summary(name)}")
        return 0
    chosen = SHORT_SUITE if options.experiment is None else (options.experiment,)
    try:
        for name in chosen:
            experiment.load(name)
        torch.empty(0, device=options.device)
        _ensure_writable(options.out)
    except (ValueError, OSError, RuntimeError) as error:
        parser.error(str(error).splitlines()[0])
    rows = [row for name in chosen for seed in options.seed for row in _run(name, seed, options)]
    print(records.table(rows))
    print(f"pictures and JSON files are in {options.out}")
    return 0


def _run(name: str, seed: int, options: argparse.Namespace) -> list[tuple[str, int, Outcome]]:
    """Train and measure the flows of an experiment, and write its JSON file and its picture."""
    declared = experiment.load(name)
    task = declared.task(seed)
    grid = None if task.manifold is None else grid_for(task.manifold)
    outcomes: dict[str, Outcome] = {}
    for variant in declared.variants:
        print(f"{name}, seed {seed}: training the flow '{variant.name}'", file=sys.stderr, flush=True)
        trained = train(
            declared, task.train.x, variant=variant, seed=seed, device=options.device, max_minutes=options.max_minutes
        )
        outcomes[variant.name] = measure(trained, task, grid, seed=seed)
    results = {flow: outcome.metrics.as_json() for flow, outcome in outcomes.items()}
    command = shlex.join(["python", "benchmarks/run.py", *_said(name, seed, options)])
    stem = options.out / f"{name}-seed-{seed}"
    pictures.draw(
        stem.with_suffix(".png"), f"{name}, seed {seed}", task, *outcomes.values(), grid, declared.image_shape
    )
    records.write(
        stem.with_suffix(".json"),
        {"experiment": name, "seed": seed, **records.provenance(command), "results": results},
    )
    return [(name, seed, outcome) for outcome in outcomes.values()]


def _said(name: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The arguments that make this one result again."""
    said = [name, "--seed", str(seed)]
    if options.device != "cpu":
        said += ["--device", options.device]
    if options.max_minutes is not None:
        said += ["--max-minutes", f"{options.max_minutes:g}"]
    return said


def _ensure_writable(folder: Path) -> None:
    """Make the folder, and fail before the work and not after it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"--out must be a folder that can be written, got {folder} ({error.strerror})") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", nargs="?", help="'list', or the name of one; without it the short suite runs")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one or more seeds, each a run (default 0)")
    parser.add_argument("--device", default="cpu", help="where to train (default cpu)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder for the results")
    parser.add_argument("--max-minutes", type=float, help="stop the training of each flow after so long")
    return parser


if __name__ == "__main__":
    sys.exit(main())
