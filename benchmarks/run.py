"""Run experiments: no argument for the short suite, ``list``, ``NAME --profile full``, ``report``."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch

from paper import experiments, report
from paper.data_sets import UnreadableDataError
from paper.experiment import PROFILES
from paper.runs import Run
from shared import records
from shared.options import minutes

SHORT_SUITE = ("sine", "line", "s_curve", "digits")
RESULTS = Path(__file__).parent / "results"
INTERRUPTED = 130
COMMANDS = {
    "intrinsic-dimension": "intrinsic_dimension.command",
    "pointwise-dimension": "intrinsic_dimension.place_to_place",
    "performance": "performance.command",
}
"""Benchmarks with options of their own, by the module whose ``main`` they are; some need more than the rest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, show. Returns the exit status: 0, 2 for arguments that cannot be followed, 130 after Ctrl-C."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        status: int = import_module(COMMANDS[given[0]]).main(given[1:])
        return status
    parser = _parser()
    options = parser.parse_args(given)
    if options.experiment == "list":
        for name in experiments.names():
            print(f"{name:18} {experiments.summary(name)}")
        return 0
    try:
        if options.experiment not in (None, "report"):
            experiments.load(options.experiment)
        torch.empty(0, device=options.device)
        _ensure_writable(options.out)
        if options.experiment == "report":
            print(f"the page is {report.write(options.out / 'report.html', options.results)}")
            return 0
    except (ValueError, OSError, RuntimeError, AssertionError) as error:
        parser.error(str(error).splitlines()[0])
    try:
        for run in _runs(options):
            print(records.table(run()), end="\n\n", flush=True)
    except (FileNotFoundError, ModuleNotFoundError, UnreadableDataError) as error:  # which say what to do
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    print(f"pictures and JSON files are in {options.out}")
    return 0


def _runs(options: argparse.Namespace) -> list[Run]:
    chosen = SHORT_SUITE if options.experiment is None else (options.experiment,)
    return [
        Run(
            name=name,
            out=options.out,
            profile=options.profile,
            seed=seed,
            device=options.device,
            max_minutes=options.max_minutes,
            data_dir=options.data_dir,
            fresh=options.fresh,
            keep=options.keep,
            strict=options.strict,
        )
        for name in chosen
        for seed in options.seed
    ]


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
        help="'list', 'report', or the name of one; without it the short suite runs; 'intrinsic-dimension', "
        "'pointwise-dimension' and 'performance' have options of their own, see performance --help",
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="how long to train (default quick)")
    parser.add_argument("--seed", type=int, nargs="+", default=[0], help="one or more seeds, each a run (default 0)")
    parser.add_argument("--device", default="cpu", help="where to train (default cpu)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    parser.add_argument("--max-minutes", type=minutes, help="stop the training of a run after so long")
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
