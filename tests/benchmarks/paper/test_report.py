"""The page that sets paper and runs side by side."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest

from paper import experiments
from paper.experiment import OURS
from run import main

pytest.importorskip("sklearn")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one short run of the line, and a file of another kind."""
    load = experiments.load
    short = OURS.also({"steps": 5, "samples": 200})
    monkeypatch.setattr(
        experiments, "load", lambda name: replace(load(name), variants=(short,), profiles={"paper": {"steps": 10}})
    )
    assert main(["line", "--out", str(tmp_path / "results")]) == 0
    (tmp_path / "results" / "timings.json").write_text('{"seconds": 1.0}')
    return tmp_path / "results"


def test_the_page_holds_claims_numbers_and_pictures_and_needs_no_other_file(results: Path, tmp_path: Path) -> None:
    assert main(["report", "--results", str(results), "--out", str(tmp_path)]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "``" not in page
    text = page.replace("<code>", "").replace("</code>", "")
    for paragraph in experiments.description("line").split("\n\n"):
        assert f"<p>{escape(paragraph.replace('``', ''))}</p>" in text
    assert page.count("data:image/png;base64,") == 1
    assert "http" not in page
    record = json.loads((results / "line-quick-seed-0.json").read_text())
    assert escape(record["command"]) in page
    assert f"<td>{record['results']['our default']['sample_distance']:.4g}</td>" in page
    assert "share of the paper&#x27;s schedule" in page
    assert "sine" not in page  # which was not run


def test_a_folder_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["report", "--results", str(tmp_path / "nothing"), "--out", str(tmp_path)])
    assert "--results must be a folder with records" in capsys.readouterr().err


def test_the_reference_results_make_a_page(tmp_path: Path) -> None:
    assert main(["report", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000
