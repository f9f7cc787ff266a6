"""The cost of the dimension without a flow: a record and a picture, of small sets."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import run
from intrinsic_dimension.cost import AT_FEATURES, OURS, exponents

ROOT = Path(__file__).parents[3]


def test_it_leaves_a_record_and_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("intrinsic_dimension.cost.AT_ROWS", 100)
    arguments = [
        "--rows",
        "100",
        "--features",
        "20",
        "--estimators",
        OURS,
        "--beside",
        str(ROOT),
        "--out",
        str(tmp_path),
    ]
    assert run.main(["dimension-cost", *arguments]) == 0
    record = json.loads((tmp_path / "dimension-cost.json").read_text())
    assert [(cell["n"], cell["D"]) for cell in record["cells"]] == [(100, 20)] * 2
    assert all(
        cell["seconds"] > 0.0 and cell["megabytes in all"] > cell["megabytes"] >= 0.0 for cell in record["cells"]
    )
    by_ours = [cell["said"] for cell in record["cells"] if cell["who"] == OURS]
    assert 5 <= by_ours[0] <= 20  # ten, of which a hundred points show little
    assert (tmp_path / "dimension-cost.png").read_bytes().startswith(b"\x89PNG")


def test_an_exponent_is_the_slope_of_logarithms():
    cells = [{"who": OURS, "n": n, "D": AT_FEATURES, "seconds": 3e-6 * n**1.5} for n in (100, 1000, 10_000)]
    assert exponents(cells) == {"n": {OURS: pytest.approx(1.5)}, "D": {}}
    assert math.isfinite(exponents(cells)["n"][OURS])


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run.main(["dimension-cost", "--beside", str(tmp_path)])
    assert "--beside must be a checkout of this package" in capsys.readouterr().err
