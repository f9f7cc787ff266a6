"""Table of an experiment's record."""

from __future__ import annotations

from paper.table import columns


def test_a_table_has_a_column_for_each_number_and_no_two_share_a_name() -> None:
    numbers = {"dimension": {"gap": 2, "rank": 3}, "gap": 1.23456, "missing": None, "eigenvalues": [1.0, 2.0]}
    header, rows = columns({"results": {"ours": numbers, "diverged": {"failed": "why"}}})
    assert header == ["flow", "dimension gap", "dimension rank", "gap", "missing", "failed"]
    assert rows == [["ours", "2", "3", "1.235", "–", "–"], ["diverged", "–", "–", "–", "–", "why"]]
