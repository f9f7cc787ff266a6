"""Where the steps of a spectrum are."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from nflows_spread.rules import Spectrum, decide
from steps import above_noise, widest_step

NOISE = 0.1


def test_the_widest_step_is_found_above_the_noise() -> None:
    values = torch.tensor([8.0, 4.0, 0.02, 0.01, 1e-9], dtype=torch.float64)
    found = widest_step(
        SimpleNamespace(spectrum=Spectrum(values, values, 1e-4, NOISE), trained=SimpleNamespace(data_noise=NOISE))
    )
    assert found == {"widest_step_after": 2, "widest_step": pytest.approx(math.log(200.0))}


def test_samples_are_taken_in_the_directions_above_the_noise_or_in_more() -> None:
    values = torch.tensor([8.0, 4.0, 0.021, 0.019, 1e-9], dtype=torch.float64)
    dimension = decide(Spectrum(values, values, 1e-4, NOISE))
    assert (int(dimension), above_noise(dimension)) == (2, 3)
    assert above_noise(decide(Spectrum(values + 1.0, values, 1e-4, NOISE), "rank")) == 5
