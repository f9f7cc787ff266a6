"""Results cell by cell: the table that they come to, and the file that they are in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from intrinsic_dimension import summary
from intrinsic_dimension.estimators import OURS
from intrinsic_dimension.manifold_sets import problems
from intrinsic_dimension.store import Setting, Store
from shared.cells import Cell

pytest.importorskip("skdim")
pytest.importorskip("pandas")
BENCHMARK, HELD = problems("benchmark"), problems("held-out")


def filled(tmp_path: Path) -> Store:
    """Two estimators on manifolds of dimension 2 and 10, one of them with further estimates and one failure."""
    store = Store.open(tmp_path, Setting("benchmark", 50, 0.0), BENCHMARK)
    store.begin({"command": "by hand"})
    found = {
        ("TwoNN", "M7_Roll"): [1.4, 2.2, 2.4],
        ("TwoNN", "M1_Sphere"): [8.0, 9.4, 9.6],
        (OURS, "M7_Roll"): [2.0, 2.0, 3.0],
        (OURS, "M1_Sphere"): [10.0, None, None],
    }
    for (estimator, manifold), estimates in found.items():
        for seed, value in enumerate(estimates):
            others = {"others": {"rank": 3.0}} if estimator == OURS and value else {}
            result = {"estimate": value, "seconds": 9.0, "processor_seconds": float(seed + 1), **others}
            store.put(Cell(seed, manifold, estimator), result if value else {"estimate": None, "failed": "too slow"})
    return store


def test_the_summary_is_what_one_computes_by_hand(tmp_path: Path):
    lines = summary.summarise(filled(tmp_path))
    assert list(lines) == [OURS, f"{OURS}: rank", "TwoNN"]
    # medians 2.2 of 2 and 9.4 of 10: one exact, errors 0.1 and 0.06
    assert lines["TwoNN"] == summary.Line(
        exact=1,
        answered=2,
        tried=2,
        mean_relative_error=pytest.approx(0.08),
        median_seconds=2.0,
        largest_seconds=3.0,
    )
    assert (lines[OURS].exact, lines[OURS].answered, lines[OURS].mean_relative_error) == (2, 2, 0.0)
    # the rank rule says 3 of 2 and 3 of 10: errors 0.5 and 0.7
    assert (lines[f"{OURS}: rank"].exact, lines[f"{OURS}: rank"].mean_relative_error) == (0, pytest.approx(0.6))


def test_intervals_are_counted_answer_by_answer(tmp_path: Path):
    store = Store.open(tmp_path, Setting("benchmark", 50, 0.0), BENCHMARK)
    store.begin({})
    for seed, interval in enumerate(([2, 2], [2, 4], [3, 3], [1, 2])):
        store.put(Cell(seed, "M7_Roll", OURS), {"estimate": 2.0, "interval": interval})
    line = summary.summarise(store)[OURS]
    assert (line.covered, line.single) == (0.75, 0.5)
    assert "interval holds K" in summary.table(store)
    store.put(Cell(0, "M7_Roll", "TwoNN"), {"estimate": 2.0})
    assert summary.summarise(store)["TwoNN"].covered is None


def test_the_table_says_where_less_is_left_at_the_scale_of_neighbours(tmp_path: Path):
    systems = problems("systems")
    store = Store.open(tmp_path, Setting("systems", 50, 0.0), systems)
    store.begin({})
    for name in ("triplet", "hexane"):
        store.put(Cell(0, name, "TwoNN"), {"estimate": 3.0})
    lines = {line.split("  ")[0]: line.split() for line in summary.table(store).splitlines()}
    assert lines["triplet"][1:] == ["24", "8", "(3)", "3.0"]
    assert lines["hexane"][1:] == ["60", "3", "3.0"]


def test_halves_round_upwards_and_no_answer_is_no_hit(tmp_path: Path):
    assert summary.is_exact(1.5, 2)
    assert not summary.is_exact(2.5, 2)
    store = Store.open(tmp_path, Setting("benchmark", 50, 0.0), BENCHMARK)
    store.begin({})
    store.put(Cell(0, "M7_Roll", "ESS"), {"estimate": None, "failed": "not finished in 1 s"})
    line = summary.summarise(store)["ESS"]
    assert (line.exact, line.answered, line.tried, line.mean_relative_error) == (0, 0, 1, None)
    assert "–" in summary.table(store)


def test_a_store_reads_what_it_wrote(tmp_path: Path):
    store = filled(tmp_path)
    again = Store.open(tmp_path, store.setting, BENCHMARK)
    assert again.cells == store.cells
    assert again.runs == [{"command": "by hand"}]
    again.begin({"command": "later"})
    again.put(Cell(5, "M7_Roll", "MLE"), {"estimate": 2.0, "seconds": 0.1})
    assert json.loads(again.path.read_text())["results"]["MLE"]["M7_Roll"]["5"]["run"] == 1


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path):
    setting = Setting("benchmark", 50, 0.0)
    path = tmp_path / f"{setting.stem}.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="must hold results of this benchmark"):
        Store.open(tmp_path, setting, BENCHMARK)
    assert path.read_text() == "{}"


def test_results_of_other_manifolds_are_not_mixed_in(tmp_path: Path):
    store = filled(tmp_path)
    fewer = {name: problem for name, problem in BENCHMARK.items() if name != "M7_Roll"}
    with pytest.raises(ValueError, match="must be about the manifolds as they are now"):
        Store.open(tmp_path, store.setting, fewer)
