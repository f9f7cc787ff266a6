"""Command line of the experiments: the short suite, ``list``, ``NAME --profile full``, ``report``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from paper import experiments, report, table
from paper.experiment import PROFILES
from paper.runs import Run
from shared.command import RESULTS, Command, Work
from shared.options import add_max_minutes, add_seeds, device

SHORT_SUITE = ("sine", "line", "s_curve", "digits")


def _prepare(options: argparse.Namespace, command_line: str) -> Work | None:
    """Refuse unknown experiments, and folders without results."""
    if options.experiment == "list":
        for name in experiments.names():
            print(f"{name:18} {experiments.summary(name)}")
        return None
    if options.experiment == "report":
        return partial(_report, options.out / "report.html", report.page(options.results))
    chosen = SHORT_SUITE if options.experiment is None else (options.experiment,)
    for name in chosen:
        experiments.load(name).at(options.profile).with_rows(options.only)
    return partial(_run, [_run_of(name, seed, options) for name in chosen for seed in options.seed], options.out)


def _report(path: Path, page: str) -> None:
    path.write_text(page)
    print(f"the page is {path}")


def _run(runs: list[Run], folder: Path) -> None:
    for run in runs:
        print(table.text(run()), end="\n\n", flush=True)
    print(f"pictures and JSON files are in {folder}")


def _run_of(name: str, seed: int, options: argparse.Namespace) -> Run:
    return Run(
        name=name,
        out=options.out,
        only=tuple(options.only),
        profile=options.profile,
        seed=seed,
        device=options.device,
        max_minutes=options.max_minutes,
        data_dir=options.data_dir,
        fresh=options.fresh,
        keep=options.keep,
        strict=options.strict,
    )


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "experiment", nargs="?", help="'list', 'report', or the name of one; without it the short suite runs"
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="how long to train (default quick)")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ROW",
        help="this row of the table alone, in a record of its own; repeat it for others (default: all in one record)",
    )
    add_seeds(parser, default=[0], of="one or more seeds, each a run (default 0)")
    parser.add_argument("--device", type=device, default="cpu", help="where to train (default cpu)")
    add_max_minutes(parser, "stop the training of a run after so long")
    parser.add_argument("--data-dir", type=Path, help="folder of real data (default: NFLOWS_SPREAD_DATA)")
    parser.add_argument("--fresh", action="store_true", help="start anew where an interrupted run could go on")
    parser.add_argument(
        "--keep", action="store_true", help="keep the checkpoints of a finished run, to measure it again"
    )
    parser.add_argument(
        "--strict", action="store_true", help="stop at an image that cannot be read, which else is named and left out"
    )
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "reference", help="folder that the report is about (report only)"
    )


COMMAND = Command("", __doc__, _add_options, _prepare, resumes=True)
