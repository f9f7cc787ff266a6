"""The page that sets paper and runs side by side, and what records numbers during training."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import replace
from html import escape
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from nflows_spread.datasets import FadingSquare
from paper import entropy_estimate, experiments
from paper.experiment import OURS
from paper.measures import energy_off_square
from paper.tracking import Recorder
from run import main
from shared import records

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


def test_the_estimated_entropy_has_the_share_of_the_gradient_that_was_measured() -> None:
    shares = [entropy_estimate.share_of_gradient(dimension) for dimension in (1, 2, 5)]
    assert shares == pytest.approx([0.37, 0.006, 0.0], abs=0.02)


def test_the_response_to_scale_is_the_derivative_by_differences() -> None:
    z, variance, step = torch.randn(50, 1, dtype=torch.float64), torch.tensor(0.01, dtype=torch.float64), 1e-5

    def entropy(log_scale: float) -> float:
        """By a plain sum over pairs."""
        scaled = [math.exp(log_scale) * float(value) for value in z]
        kernels = [
            sum(math.exp(-0.5 * (a - b) ** 2 / 0.01) / math.sqrt(2 * math.pi * 0.01) for b in scaled) for a in scaled
        ]
        return -sum(math.log(value / 50) for value in kernels) / 50

    expected = (entropy(step) - entropy(-step)) / (2 * step)
    assert entropy_estimate.scale_response(z, variance) == pytest.approx(expected, rel=1e-6)


def test_energy_off_the_square_is_0_for_data_and_known_for_flat_images() -> None:
    data = FadingSquare().sample(100, generator=torch.Generator().manual_seed(0)).x
    assert energy_off_square(SimpleNamespace(samples=data)) == {
        "energy_off_square": 0.0,
        "median_energy_off_square": 0.0,
    }
    flat = energy_off_square(SimpleNamespace(samples=torch.ones(5, 1024)))
    assert list(flat.values()) == pytest.approx([1 - 36 / 1024] * 2)
    spotted = FadingSquare().embed(torch.ones(3, 1))
    spotted[0, 0] = 2.0  # of energy 4, beside 36 pixels of energy 1
    off = energy_off_square(SimpleNamespace(samples=spotted))
    assert off == {"energy_off_square": pytest.approx(4 / 112), "median_energy_off_square": 0.0}


def test_what_is_recorded_outlives_an_interruption_without_gaps_or_repeats(tmp_path: Path) -> None:
    path, tracked = tmp_path / "tracked.jsonl", {"twice": lambda state: 2.0 * state.step}
    first = Recorder(tracked, path, every=2)
    for step in range(1, 8):
        first(SimpleNamespace(step=step))
    second = Recorder(tracked, path, every=2)
    for step in range(5, 11):  # from the checkpoint after step 4
        second(SimpleNamespace(step=step))
    assert second.series() == {"twice": [(step, 2.0 * step) for step in (1, 2, 4, 6, 8, 10)]}
    assert Recorder(tracked, path, every=2).series() == second.series()


def test_a_record_names_the_processor_and_where_the_system_does_not_tell_the_architecture(tmp_path, monkeypatch):
    told = tmp_path / "cpuinfo"
    told.write_text("model\t: 85\nmodel name\t: Fast\ncpu family\t: 6\n\nmodel\t: 85\nmodel name\t: Fast\n")
    monkeypatch.setattr(records, "_CPUINFO", told)
    assert records.provenance("x")["machine"]["processor"] == "Fast, family 6, model 85"
    told.write_text("processor\t: 0\n")
    assert records.provenance("x")["machine"]["processor"] == platform.machine()
    told.unlink()
    assert records.provenance("x")["machine"]["processor"] in (platform.processor(), platform.machine())
