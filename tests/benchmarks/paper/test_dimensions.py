"""What a flow says about the dimension beside the estimates of the rules."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from nflows.distributions import StandardNormal

from nflows_spread.datasets import Points
from nflows_spread.dimension.rules import Spectrum, decide
from nflows_spread.models import coupling_flow
from paper.dimensions import above_noise, consensus_of_spectrum_and_neighbours, denoising_dimension, widest_step

NOISE = 0.1


def test_the_widest_step_is_found_above_the_noise() -> None:
    values = torch.tensor([8.0, 4.0, 0.02, 0.01, 1e-9], dtype=torch.float64)
    found = widest_step(
        SimpleNamespace(spectrum=Spectrum(values, values, 1e-4, NOISE), trained=SimpleNamespace(data_noise=NOISE))
    )
    assert found == {"widest_step_after": 2, "widest_step": pytest.approx(math.log(200.0))}


def test_neighbours_decide_between_the_gaps_of_a_spectrum() -> None:
    values = torch.tensor([8.0, 4.0, 0.4, 0.011, 0.01], dtype=torch.float64)  # gaps below the 2nd and below the 3rd
    for dimension in (2, 3):
        generator = torch.Generator().manual_seed(0)
        points = torch.randn(1000, dimension, generator=generator) @ torch.randn(dimension, 5, generator=generator)
        result = SimpleNamespace(
            spectrum=Spectrum(values, values, 1e-4, NOISE),
            data=SimpleNamespace(train=Points(points.view(-1, 1, 5), None)),
            generator=lambda: torch.Generator().manual_seed(1),
        )
        found = consensus_of_spectrum_and_neighbours(result)
        assert found["consensus"] == dimension
        assert (found["consensus_least"], found["consensus_most"]) == (dimension, dimension)
        assert found["neighbours"] == pytest.approx(dimension, rel=0.1)


def test_samples_are_taken_in_the_directions_above_the_noise_or_in_more() -> None:
    values = torch.tensor([8.0, 4.0, 0.021, 0.019, 1e-9], dtype=torch.float64)
    dimension = decide(Spectrum(values, values, 1e-4, NOISE))
    assert (int(dimension), above_noise(dimension)) == (2, 3)
    assert above_noise(decide(Spectrum(values + 1.0, values, 1e-4, NOISE), "rank")) == 5


def test_the_denoising_dimension_is_that_of_held_out_points_at_the_last_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    flow = coupling_flow(4, layers=1, base=StandardNormal([4]), generator=generator)
    for parameter in flow.parameters():
        torch.nn.init.zeros_(parameter)  # the identity: the density is N(0, I)
    result = SimpleNamespace(
        data=SimpleNamespace(
            held_out=Points((1.0 - NOISE**2) ** 0.5 * torch.randn(4000, 4, generator=generator), None)
        ),
        trained=SimpleNamespace(flow=flow, data_noise=NOISE),
        generator=lambda: torch.Generator().manual_seed(1),
    )
    expected = 4.0 * (1.0 - NOISE**2)
    assert denoising_dimension(result) == {
        "denoising_dimension": pytest.approx(expected, abs=0.15),
        "score_dimension": pytest.approx(expected, abs=0.15),
    }
    result.trained.data_noise = 0.0
    assert denoising_dimension(result) == {}
