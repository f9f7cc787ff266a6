"""Estimates of a fit that are kept come back as they were, and today's rules judge them without a fit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from intrinsic_dimension import command
from intrinsic_dimension.estimators import OURS
from intrinsic_dimension.kept_estimates import KeptEstimates, as_plain, from_plain, with_what_points_say
from nflows_spread.dimension.consensus import Estimates, consensus_dimension
from nflows_spread.dimension.density import DensityDimension
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.rules import Spectrum
from nflows_spread.dimension.tangent_spaces import TangentSpaces, tangent_spaces
from nflows_spread.dimension.unfilled_spans import UnfilledSpans
from nflows_spread.dimension.variation import Part
from shared.cells import Cell

SPECTRUM = Spectrum(
    torch.tensor([1.0, 0.5, 1e-6], dtype=torch.float64),
    torch.tensor([1.0 / 3.0, 0.2, 1e-4], dtype=torch.float64),
    spread_variance=1e-4,
    data_noise=0.01,
    errors=torch.tensor([0.01, 0.02, 0.03], dtype=torch.float64),
)
NEIGHBOURS = NeighbourDimension(2.2, 0.05, 0.1, 0.03, (3, 5, 40), {"cube": (2.1, 2.2, 2.0), "sphere": (2.0, 2.0, 1.9)})
FULL = Estimates(
    SPECTRUM,
    NEIGHBOURS,
    density=DensityDimension(2.3, 1.9, 0.1, 0.1, 0.01),
    ambient_noise=0.02,
    parts=(Part(1, 0.25), Part(2, 0.75)),
    path=True,
    shells=(2,),
    unfilled=UnfilledSpans(quadrics=(3,)),
    noisy_neighbours=replace(NEIGHBOURS, value=2.6),
    tangents=TangentSpaces(3, (60, 80), ((0.9, 1.0, 1.0),) * 2, ((0.5, 0.25, 0.125),) * 2, (0.25, 0.5)),
)


@pytest.mark.parametrize("estimates", [FULL, Estimates(replace(SPECTRUM, errors=None), NEIGHBOURS)])
def test_what_is_kept_comes_back(estimates: Estimates):
    kept = json.loads(json.dumps(as_plain(estimates)))
    back = from_plain(kept)
    assert consensus_dimension(back) == consensus_dimension(estimates)
    assert consensus_dimension(back).interval == consensus_dimension(estimates).interval
    torch.testing.assert_close(back.spectrum.signal_to_noise, estimates.spectrum.signal_to_noise, rtol=1e-6, atol=0.0)
    assert replace(back, spectrum=estimates.spectrum) == estimates
    assert kept["log_evidence"] == pytest.approx(back.log_evidence, rel=1e-5)
    assert kept["neighbours"]["profile"] == {"cube": [2.1, 2.2, 2.0], "sphere": [2.0, 2.0, 1.9]}


def test_what_needs_no_fit_is_added_to_estimates_of_an_earlier_one():
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    earlier = replace(FULL, noisy_neighbours=None, tangents=None, ambient_noise=0.0)
    said = with_what_points_say(earlier, x.numpy(), seed=0)
    assert said.tangents == tangent_spaces(x, generator=torch.Generator().manual_seed(0))
    assert said.noisy_neighbours is None
    noisy = with_what_points_say(replace(earlier, ambient_noise=1.0), x.numpy(), seed=0).noisy_neighbours
    assert noisy is not None
    assert noisy.value == pytest.approx(3.0, rel=0.2)
    assert with_what_points_say(replace(FULL, ambient_noise=0.0), x.numpy(), seed=0) == said


def test_the_file_goes_on_where_it_stopped_and_is_the_same_for_the_same_estimates(tmp_path: Path):
    results = tmp_path / "results.json"
    first = KeptEstimates(results)
    first.put(Cell(0, "b", OURS), as_plain(FULL))
    first.put(Cell(0, "a", OURS), as_plain(FULL))
    second = KeptEstimates(results)
    assert set(second.cells) == {Cell(0, "a", OURS), Cell(0, "b", OURS)}
    written = second.path.read_bytes()
    second.put(Cell(0, "a", OURS), as_plain(FULL))
    assert second.path.read_bytes() == written
    assert [path.name for path in tmp_path.iterdir()] == ["results-estimates.json.gz"]
    second.path.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match=r"must hold estimates of this benchmark; move it away"):
        KeptEstimates(results)


def test_a_rule_is_judged_again_without_a_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("skdim")
    arguments = ["--set", "held-out", "--manifolds", "torus 2 in 3", "--seed", "0", "--points", "60"]
    arguments += ["--estimators", OURS, "--jobs", "1", "--out", str(tmp_path)]
    results = tmp_path / "intrinsic-dimension-held-out-60.json"
    cell = Cell(0, "torus 2 in 3", OURS)
    KeptEstimates(results).put(cell, as_plain(FULL))
    monkeypatch.setattr(command, "run_tasks", lambda *_, **__: pytest.fail("nothing is to be trained"))
    assert command.COMMAND([*arguments, "--judge-again"]) == 0
    found = json.loads(results.read_text())["results"][OURS]["torus 2 in 3"]["0"]
    assert found["estimate"] == consensus_dimension(FULL)
    assert tuple(found["interval"]) == consensus_dimension(FULL).interval
