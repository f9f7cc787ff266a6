"""Performance: the add-on beside torch, nflows, normflows and FrEIA, in one process, in one table of ratios.

All contenders of a race take turns, so that they meet the same machine; a ratio is the median over rounds of the time
of one over that of another in the same round. How many threads torch uses is the caller's affair (OMP_NUM_THREADS);
it is the same for all and in the record. Peers that are not installed sit out.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from performance import (
    couplings,
    glow_step,
    markdown,
    picture,
    pieces,
    prior,
    table,
    toy_loop,
    training_steps,
    whole_fit,
)
from performance.record import check_growth, growth_of, run_race, run_trial
from performance.timing import CLOCKS
from shared import records
from shared.command import Command, Work
from shared.options import add_max_minutes

NAME = "performance"
SECTIONS = {
    module.NAME: module.SECTION for module in (prior, couplings, glow_step, training_steps, pieces, toy_loop, whole_fit)
}
IN_ALL = [name for name in SECTIONS if name != whole_fit.NAME]
"""Those that are run where none is named; whole fits would take as long as all of them."""
ROUNDS, SMALL_ROUNDS = 15, 2
PEERS = ("normflows", "FrEIA")
_SEED = 0  # of the weights and the data


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    """Refuse a record that cannot be read."""
    if options.record is None:
        return lambda: _write(_measure(options, command_line), options)
    try:
        given = records.read(options.record)
    except (OSError, ValueError) as error:
        raise ValueError(f"--record must be the JSON file of an earlier run, got {options.record} ({error})") from error
    return lambda: _write(given, options)


def _write(record: dict[str, Any], options: argparse.Namespace) -> None:
    """The record, unless it was given, and its page and picture."""
    path = options.out / f"{NAME}.json"
    if options.record is None:
        records.write(path, record)
    path.with_suffix(".md").write_text(markdown.page(record))
    picture.draw(path.with_suffix(".png"), record)
    print(f"the record is in {options.record or path}, page and picture in {options.out}")


def _measure(options: argparse.Namespace, command_line: str) -> dict[str, Any]:
    """All races and trials of the sections, as far as time allows, each printed as soon as it is over."""
    torch.manual_seed(_SEED)
    start = time.perf_counter()
    known = {**SECTIONS, whole_fit.NAME: whole_fit.section(options.beside)}
    chosen = [known[name] for name in options.sections]
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
    found = {
        "seconds": round(seconds, 1),
        "races": races,
        "trials": trials,
        "growth": growth,
        "targets": targets,
        "left_out": left_out,
    }
    return records.record(NAME, command_line, run={"seed": _SEED, "clock": options.clock}, found=found, packages=PEERS)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sections", nargs="+", choices=SECTIONS, default=IN_ALL, help=f"parts of it (default: {' '.join(IN_ALL)})"
    )
    parser.add_argument(
        "--beside", type=Path, help="another checkout of the package, whose whole fits run beside those of this one"
    )
    add_max_minutes(parser, "rounds are fitted into so long (default 9)", default=9.0)
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="processor where other work runs on the machine (default wall)"
    )
    parser.add_argument("--small", action="store_true", help="tiny sizes and two rounds, to see that it works")
    parser.add_argument(
        "--record", type=Path, help="measure nothing: page and picture of this record of an earlier run"
    )


COMMAND = Command(NAME, __doc__, _add_options, _prepare)
