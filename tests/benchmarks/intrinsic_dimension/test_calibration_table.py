"""The table of calibration curves: that of the package is what its command makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import run
from intrinsic_dimension import calibration_table
from intrinsic_dimension.calibration_table import QUERIES, queries_of
from nflows_spread.dimension import calibration_curve
from nflows_spread.dimension.calibration_curve import GRID, SHAPES, SIZES, TABLE, simulated_estimates


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("points", "dimension"), [(50, 2), (200, 6)])
def test_entries_of_the_package_are_simulated_again(shape: str, points: int, dimension: int):
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    expected = simulated_estimates(shape, points, dimension, queries=queries_of(points, QUERIES))
    entry = table[shape][SIZES.index(points)][GRID.index(dimension)]
    assert entry == pytest.approx(expected, rel=1e-3)  # other versions of torch may round otherwise


def test_the_command_writes_a_table_of_this_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (calibration_table, calibration_curve):
        monkeypatch.setattr(module, "SIZES", SIZES[:2])
        monkeypatch.setattr(module, "GRID", GRID[:3])
    assert run.main(["calibration-table", "--queries", "100", "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / TABLE.name).read_text(encoding="utf-8"))
    assert written.keys() == SHAPES.keys()
    assert [[len(entry) for entry in size] for size in written["cube"]] == [[7] * 3] * 2
    monkeypatch.setattr(calibration_curve, "TABLE", tmp_path / TABLE.name)
    calibration_curve._table.cache_clear()
    calibration_curve.calibration_curve.cache_clear()
    try:
        found = calibration_curve.calibration_curve("cube", SIZES[1])(2)
        assert found == pytest.approx(written["cube"][1][1], rel=1e-12)
    finally:
        calibration_curve._table.cache_clear()
        calibration_curve.calibration_curve.cache_clear()


def test_large_sets_have_fewer_queries():
    assert queries_of(50, QUERIES) == QUERIES
    assert queries_of(SIZES[-1], QUERIES) == calibration_table.FEWEST_QUERIES
    assert queries_of(50, 7) == 7
