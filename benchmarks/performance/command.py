"""Performance: the add-on beside torch, nflows, normflows and FrEIA, in one process, in one table of ratios.

All contenders of a race take turns, so that they meet the same machine; a ratio is the median over rounds of the time
of one over that of another in the same round. How many threads torch uses is the caller's affair (OMP_NUM_THREADS);
it is the same for all and in the record. Peers that are not installed sit out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from performance import couplings, glow_step, markdown, picture, prior, table, toy_loop, training_steps
from performance.record import check_growth, growth_of, run_race, run_trial
from performance.timing import CLOCKS
from shared import records
from shared.options import minutes

NAME = "performance"
SECTIONS = {module.NAME: module.SECTION for module in (prior, couplings, glow_step, training_steps, toy_loop)}
ROUNDS, SMALL_ROUNDS = 15, 2
PEERS = ("normflows", "FrEIA")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. Returns the exit status: 0, or 2 for arguments that cannot be followed."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    options = parser.parse_args(given)
    try:
        given_record = None if options.record is None else json.loads(options.record.read_text())
    except (OSError, ValueError) as error:
        parser.error(f"--record must be the JSON file of an earlier run, got {options.record} ({error})")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out must be a folder that can be written, got {options.out} ({error.strerror})")
    path = options.out / f"{NAME}.json"
    if given_record is None:
        record = _measure(options, records.provenance(records.command_line(NAME, given)))
        records.write(path, record)
    else:
        record = given_record
    path.with_suffix(".md").write_text(markdown.page(record))
    picture.draw(path.with_suffix(".png"), record)
    print(f"the record is in {options.record or path}, page and picture in {options.out}")
    return 0


def _measure(options: argparse.Namespace, provenance: dict[str, Any]) -> dict[str, Any]:
    """All races and trials of the sections, as far as time allows, each printed as soon as it is over."""
    torch.manual_seed(0)
    start = time.perf_counter()
    chosen = [SECTIONS[name] for name in options.sections]
    for name in PEERS:
        provenance["versions"][name] = _version(name)
    print(table.header())
    trials = []
    for trial in (trial for section in chosen for trial in section.trials(options.small)):
        trials.append(run_trial(trial))
        print(table.of_trial(trials[-1]), flush=True)
    waiting = [race for section in chosen for race in section.races(options.small)]
    races, left_out = [], []
    for done, race in enumerate(waiting):
        left = 60.0 * options.max_minutes - (time.perf_counter() - start)
        if left <= 0.0 and not options.small:
            left_out.append(race.name)
            continue
        rounds = SMALL_ROUNDS if options.small else ROUNDS
        races.append(run_race(race, rounds=rounds, budget=left / (len(waiting) - done), clock=options.clock))
        print(table.of_race(races[-1]), flush=True)
    growth = growth_of(races)
    targets = [target for part in (*races, *trials) for target in part["targets"]]
    targets += check_growth([target for section in chosen for target in section.growth], growth)
    print(table.of_growth(growth))
    print(table.of_targets(targets))
    if left_out:
        print(f"no time was left for: {'; '.join(left_out)}")
    seconds = time.perf_counter() - start
    print(f"{seconds:.0f} s in all, {torch.get_num_threads()} threads")
    return {
        **provenance,
        "clock": options.clock,
        "seconds": round(seconds, 1),
        "races": races,
        "trials": trials,
        "growth": growth,
        "targets": targets,
        "left_out": left_out,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"run.py {NAME}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="parts of it (default: all)"
    )
    parser.add_argument("--max-minutes", type=minutes, default=9.0, help="rounds are fitted into so long (default 9)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor where other work runs on the machine (default wall)"
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes and two rounds, to see that it works")
    parser.add_argument(
        "--record", type=Path, help="measure nothing: page and picture of this record of an earlier run"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "results", help="folder for the results"
    )
    return parser
