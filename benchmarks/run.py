"""Run experiments: no argument for the short suite, ``list``, ``NAME --profile full``, ``report``."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import experiment
import pictures
import records
import report
from declarations import digest, settings_of
from experiment import PROFILES, Experiment, Variant
from nflows_spread.training import NotFiniteError
from outcomes import Outcome
from tasks import Folders
from training_runs import train

SHORT_SUITE = ("sine", "line", "s_curve", "digits")
RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, show. Returns the exit status: 0, or 2 for arguments that cannot be followed."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["intrinsic-dimension"]:
        from intrinsic_dimension.command import main as compare_estimators  # needs scikit-dimension, and has options

        return compare_estimators(given[1:])
    parser = _parser()
    options = parser.parse_args(given)
    if options.experiment == "list":
        for name in experiment.names():
            print(f"{name:16} {experiment.summary(name)}")
        return 0
    chosen = SHORT_SUITE if options.experiment in (None, "report") else (options.experiment,)
    try:
        declared = {name: experiment.load(name).at(options.profile) for name in chosen}
        torch.empty(0, device=options.device)
        _ensure_writable(options.out)
        if options.experiment == "report":
            print(f"the page is {report.write(options.out / 'report.html', options.results)}")
            return 0
    except (ValueError, OSError, RuntimeError) as error:
        parser.error(str(error).splitlines()[0])
    for name in chosen:
        for seed in options.seed:
            try:
                record = _run(name, declared[name], seed, options)
            except FileNotFoundError as error:  # data that is not on disk; the error says what to do
                parser.error(str(error))
            print(records.table(record), end="\n\n")
    print(f"pictures and JSON files are in {options.out}")
    return 0


def _run(name: str, declared: Experiment, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Train and measure the flows of an experiment, and write its JSON file and its picture."""
    stem = f"{name}-{options.profile}-seed-{seed}"
    unfinished = options.out / "unfinished" / stem
    if options.fresh and unfinished.exists():
        shutil.rmtree(unfinished)
    folders = Folders(data=options.data_dir, cache=options.out / "cache")
    outcomes: list[Outcome] = []
    results: dict[str, object] = {}
    budget = _Budget(options.max_minutes, len(declared.variants))
    for variant in declared.variants:
        print(f"{stem}: training the flow '{variant.name}'", file=sys.stderr, flush=True)
        settings = declared.of(variant)
        task = settings.task(seed, folders)
        try:
            trained = train(
                settings,
                task.train.x,
                seed=seed,
                device=options.device,
                max_minutes=budget.next(),
                folder=unfinished / f"{_folder_name(variant)}-{digest(settings)}",
            )
        except NotFiniteError as error:
            results[variant.name] = {"failed": str(error)}
            continue
        outcomes.append(Outcome(variant.name, settings, task, trained, seed=seed))
        results[variant.name] = outcomes[-1].numbers
    return _write(name, stem, declared, seed, options, outcomes, results)


def _write(
    name: str,
    stem: str,
    declared: Experiment,
    seed: int,
    options: argparse.Namespace,
    outcomes: Sequence[Outcome],
    results: dict[str, object],
) -> dict[str, object]:
    """The picture and the record of a run; what is needed to go on with it stays only while it is unfinished."""
    finished = all(outcome.trained.stopped == "steps" for outcome in outcomes)
    if outcomes:
        title = f"{name}, profile {options.profile}, seed {seed}" + ("" if finished else ", unfinished")
        pictures.draw(options.out / f"{stem}.png", title, outcomes, declared.panels, declared.together)
    record: dict[str, object] = {
        "experiment": name,
        "profile": options.profile,
        "seed": seed,
        "finished": finished,
        "share_of_paper": _share_of_paper(name, outcomes),
        **records.provenance(shlex.join(["python", "benchmarks/run.py", *_said(name, seed, options)])),
        "results": results,
        "settings": {variant.name: settings_of(declared.of(variant)) for variant in declared.variants},
    }
    records.write(options.out / f"{stem}.json", record)
    if finished and not options.keep:
        shutil.rmtree(options.out / "unfinished" / stem, ignore_errors=True)
    return record


class _Budget:
    """Minutes for a run, shared by its flows: what one leaves is the others'."""

    def __init__(self, minutes: float | None, flows: int) -> None:
        self._until = None if minutes is None else time.perf_counter() + 60.0 * minutes
        self._flows = flows

    def next(self) -> float | None:
        """Minutes for the next flow."""
        if self._until is None:
            return None
        share = max(1e-6, (self._until - time.perf_counter()) / 60.0 / self._flows)
        self._flows -= 1
        return share


def _share_of_paper(name: str, outcomes: Sequence[Outcome]) -> dict[str, float]:
    """For each flow, the rows of data it saw as a share of those that the paper's schedule visits."""
    paper = experiment.load(name).at("paper")
    rows = {variant.name: paper.of(variant).rows for variant in paper.variants}
    return {
        outcome.name: round(outcome.trained.steps * outcome.settings.batch_size / rows[outcome.name], 4)
        for outcome in outcomes
        if outcome.name in rows
    }


def _folder_name(variant: Variant) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in variant.name)


def _said(name: str, seed: int, options: argparse.Namespace) -> list[str]:
    """The arguments that make this one result again."""
    said = [name, "--profile", options.profile, "--seed", str(seed)]
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
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A run that is interrupted or stopped by --max-minutes goes on when the same command is given again.",
    )
    parser.add_argument(
        "experiment",
        nargs="?",
        help="'list', 'report', or the name of one; without it the short suite runs; 'intrinsic-dimension' has options "
        "of its own, see intrinsic-dimension --help",
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="how long to train (default quick)")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one or more seeds, each a run (default 0)")
    parser.add_argument("--device", default="cpu", help="where to train (default cpu)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--max-minutes", type=float, help="stop the training of a run after so long")
    parser.add_argument("--data-dir", type=Path, help="folder of real data (default: NFLOWS_SPREAD_DATA)")
    parser.add_argument("--fresh", action="store_true", help="start anew where an interrupted run could go on")
    parser.add_argument(
        "--keep", action="store_true", help="keep the checkpoints of a finished run, to measure it again"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "reference", help="folder that the report is about (report only)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
