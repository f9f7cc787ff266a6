"""Results of the chart benchmark: which cells must be filled again, medians, and how often charts do as they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from charts import summary
from charts.measures import BEYOND, ERROR, LIKELIHOOD, NEAREST, SPREAD, TRUST
from charts.methods import MIXTURE, OURS, PCA
from charts.store import Store
from shared.cells import Cell


def filled(folder: Path) -> Store:
    """Ours on three seeds of the roll and one of breast cancer, and others beside it."""
    store = Store.open(folder)
    store.begin({"command": "by hand"})
    for seed, (error, trust) in enumerate([(0.02, 0.999), (0.06, 0.999), (0.03, 0.98)]):
        measures = {ERROR: error, TRUST: trust, NEAREST: 9.0}
        store.put(Cell(seed, "swiss roll", OURS), {"rank": 2, "measures": measures, "processor_seconds": 10.0 + seed})
        store.put(Cell(seed, "swiss roll", PCA), {"rank": 2, "measures": {ERROR: 0.05, TRUST: 0.98}})
    ours = {ERROR: 0.2004, TRUST: 0.97, NEAREST: 1.2, SPREAD: 0.84, BEYOND: 0.0, LIKELIHOOD: -3.0}
    theirs = {ERROR: 0.2, TRUST: 0.99, LIKELIHOOD: -8.0}
    cancer = "breast cancer, standardized"
    store.put(Cell(0, cancer, OURS), {"rank": 10, "measures": ours, "processor_seconds": 8.0})
    store.put(Cell(0, cancer, PCA), {"rank": 10, "measures": theirs})
    store.put(Cell(0, cancer, MIXTURE), {"rank": 10, "measures": {LIKELIHOOD: -4.0}})
    store.put(Cell(0, cancer, "FloDR"), {"skipped": "not installed: flodr"})
    return store


def test_the_criteria_are_counted_as_by_hand(tmp_path: Path):
    found = summary.kept(filled(tmp_path))
    first, error, trust, near, wide, beyond, likelihood = found.values()
    assert first == "1 of 3"  # 0.06 is too far, and 0.98 too little
    assert error == "3 of 4"  # 0.06 is above 0.05; 0.2004 is 0.2 to three digits
    assert trust == "3 of 4"  # 0.98 is that of PCA, 0.97 is below 0.99
    assert (near, wide, beyond) == ("1 of 1", "0 of 1", "1 of 1")  # the roll is no real data
    assert likelihood == "1 of 1"


def test_medians_are_over_the_seeds_that_have_a_value(tmp_path: Path):
    store = filled(tmp_path)
    assert summary.medians(store, ERROR)[OURS]["swiss roll"] == 0.03
    assert summary.medians(store, summary.SECONDS)[OURS]["swiss roll"] == 11.0
    assert list(summary.medians(store, LIKELIHOOD)) == [OURS, PCA, MIXTURE]
    assert summary.ranks(store, "swiss roll") == "2"
    text = summary.table(store)
    assert "FloDR on breast cancer, standardized: not installed: flodr" in text
    assert summary.as_json(store)[ERROR][PCA]["swiss roll"] == 0.05


def test_what_was_skipped_or_has_another_rank_is_filled_again(tmp_path: Path):
    store = filled(tmp_path)
    cells = list(store.cells)
    skipped = Cell(0, "breast cancer, standardized", "FloDR")
    assert store.missing(cells) == [skipped]
    store.put(Cell(1, "swiss roll", OURS), {"rank": 3, "measures": {}})
    assert store.missing(cells) == [Cell(1, "swiss roll", PCA), skipped]
    assert store.rank(Cell(1, "swiss roll", "Isomap")) == 3
    assert store.rank(Cell(9, "swiss roll", "Isomap")) is None


def test_a_store_reads_what_it_wrote_and_refuses_other_files(tmp_path: Path):
    store = filled(tmp_path)
    assert Store.open(tmp_path).cells == store.cells
    store.path.write_text(store.path.read_text().replace("make_swiss_roll", "make_roll"))
    with pytest.raises(ValueError, match="must be about the sets as they are now"):
        Store.open(tmp_path)
    store.path.write_text("{}")
    with pytest.raises(ValueError, match="must hold results of this benchmark"):
        Store.open(tmp_path)
