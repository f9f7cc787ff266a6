"""Makes the table of calibration curves that the package ships: ``python benchmarks/run.py calibration-table``.

For each shape, number of points and dimension the estimates that samples of it give: of 40 000 points where they are
few, of 4 000 where they are many. The same every time; it takes a quarter of an hour of one core. It goes to ``--out``;
copied to ``nflows_spread/dimension/calibration_table.json`` it counts.
"""

from __future__ import annotations

import argparse
import json

from nflows_spread.dimension.calibration_curve import GRID, SHAPES, SIZES, TABLE, simulated_estimates
from shared.command import Command, Work
from shared.options import positive_int

NAME = "calibration-table"
DISTANCES = 150_000_000
"""Of all samples of one entry together, at most: what takes about a second."""
QUERIES, FEWEST_QUERIES = 40_000, 4_000


def queries_of(points: int, most: int) -> int:
    """Points of sets of this size whose neighbours are sought."""
    return min(most, max(FEWEST_QUERIES, DISTANCES // points))


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    return lambda: _make(options)


def _make(options: argparse.Namespace) -> None:
    found = {shape: [[() for _ in GRID] for _ in SIZES] for shape in SHAPES}
    for i, points in enumerate(SIZES):
        for shape in SHAPES:
            for j, dimension in enumerate(GRID):
                estimates = simulated_estimates(shape, points, dimension, queries=queries_of(points, options.queries))
                found[shape][i][j] = tuple(float(f"{estimate:.5g}") for estimate in estimates)
        print(f"{points} points", flush=True)
    path = options.out / TABLE.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(found), encoding="utf-8")
    print(f"the table is in {path}")


def _text(found: dict[str, list[list[tuple[float, ...]]]]) -> str:
    """JSON with the dimensions of one size in a line."""
    shapes = []
    for shape, sizes in found.items():
        lines = ",\n  ".join(json.dumps(size, separators=(",", ":")) for size in sizes)
        shapes.append(f'"{shape}": [\n  {lines}\n]')
    return "{" + ",\n".join(shapes) + "}\n"


def _add_options(parser: argparse.ArgumentParser) -> None:
    help_ = "points of each entry whose neighbours are sought, at most (default 40 000)"
    parser.add_argument("--queries", type=positive_int, default=QUERIES, help=help_)


COMMAND = Command(NAME, __doc__, _add_options, _prepare)
