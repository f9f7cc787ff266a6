"""The spectrum from Jacobians at a few points."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from nflows.distributions import StandardNormal

from nflows_spread import spectrum
from nflows_spread.models import coupling_flow
from nflows_spread.rules import Spectrum, decide
from pointwise import above_noise, pointwise_spectrum, widest_step

NOISE = 0.1


def test_where_the_package_takes_jacobians_too_both_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    flow = coupling_flow(6, layers=3, hidden_features=(8,), generator=generator).double().eval()
    x = torch.randn(3000, 6, dtype=torch.float64, generator=generator)
    found = pointwise_spectrum(flow, x, data_noise=NOISE, generator=generator)
    expected = spectrum(flow, x, data_noise=NOISE, generator=generator)
    torch.testing.assert_close(found.signal_to_noise, expected.signal_to_noise, rtol=0.2, atol=0.0)
    torch.testing.assert_close(found.eigenvalues, expected.eigenvalues)
    assert (found.data_noise, found.spread_variance) == (expected.data_noise, expected.spread_variance)


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


def test_for_an_identity_flow_the_eigenvalues_are_those_of_the_noisy_data_whatever_the_shape_of_a_point() -> None:
    generator = torch.Generator().manual_seed(0)
    flow = coupling_flow(4, layers=2, base=StandardNormal([4])).double()
    for parameter in flow.parameters():
        torch.nn.init.zeros_(parameter)
    variances = torch.tensor([4.0, 1.0, 0.0, 0.0], dtype=torch.float64)
    x = variances.sqrt() * torch.randn(2000, 4, dtype=torch.float64, generator=generator)
    found = pointwise_spectrum(flow, x, data_noise=NOISE, generator=generator)
    torch.testing.assert_close(found.signal_to_noise, variances + NOISE**2, rtol=0.1, atol=0.0)
    assert found.eigenvalues.tolist() == [1.0] * 4
