"""Run experiments: no argument for the short suite, ``list``, ``NAME --profile full``, ``report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from paper.command import COMMAND as EXPERIMENTS

COMMANDS = {
    "intrinsic-dimension": "intrinsic_dimension.command",
    "pointwise-dimension": "intrinsic_dimension.pointwise_dimension",
    "calibration-table": "intrinsic_dimension.calibration_table",
    "dimension-cost": "intrinsic_dimension.cost",
    "dimension-against-scale": "intrinsic_dimension.against_scale",
    "charts": "charts.command",
    "rivals": "rivals.command",
    "rivals-tuning": "rivals.tuning",
    "performance": "performance.command",
    "stale": "shared.stale",
    "refresh": "shared.refresh",
}
"""Benchmarks with options of their own, by the module whose ``COMMAND`` they are; some need more than the rest."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the first argument names. Returns the exit code, see ``shared.command``."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given and given[0] in COMMANDS:
        status: int = import_module(COMMANDS[given[0]]).COMMAND(given[1:])
        return status
    others = f"Benchmarks with options of their own, see NAME --help: {', '.join(COMMANDS)}."
    done = replace(EXPERIMENTS, description=f"{__doc__}\n\n{others}")(given)
    if given == ["list"]:
        print(f"\n{others}")
    return done


if __name__ == "__main__":
    sys.exit(main())
