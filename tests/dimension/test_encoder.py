"""Spectra of float32 flows whose differences float32 does not resolve, against the eigenvalues of the covariance."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, LULinear, PointwiseAffineTransform, Transform
from torch import nn

from nflows_spread import DegenerateGaussian, base_of, intrinsic_dimension, spectrum
from nflows_spread.chart import chart_of
from nflows_spread.dimension.latents import Latents
from nflows_spread.dimension.spectra import pointwise_spectrum
from nflows_spread.models import coupling_flow
from support import assert_same_state, randomize, refused
from swapped_flows import FLOWS, context_for, curve, swapped

NOISE = 0.05


def seeded():
    return torch.Generator().manual_seed(2)


def plane(offset, features=3, rows=2000):
    """A plane of deviations 1 and 0.3, far from the origin, in float32: rounded, but rounded data is data."""
    x = torch.zeros(rows, features, dtype=torch.float64)
    x[:, :2] = torch.randn(rows, 2, generator=seeded(), dtype=torch.float64) * torch.tensor([1.0, 0.3])
    rotation = torch.linalg.qr(torch.randn(features, features, generator=seeded(), dtype=torch.float64)).Q
    return (x @ rotation.mT + offset).float()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("read_out", [intrinsic_dimension, spectrum, chart_of])
def test_a_flow_that_has_run_away_is_refused_by_what_it_is(read_out, dtype):
    flow, x = coupling_flow(3, layers=2).to(dtype), torch.randn(50, 3, dtype=dtype)
    with torch.no_grad():
        next(flow._transform.parameters()).fill_(math.nan)
    with refused(ValueError, "latents of the data must be finite, got", "NaN or infinity", "gradient"):
        read_out(flow, x, data_noise=NOISE)


def standardising(x, *more):
    """A linear flow that takes out the mean and the scale, as a first layer does."""
    mean, scale = x.double().mean(0).float(), float(x.double().std(0).mean())
    first = PointwiseAffineTransform(shift=-mean / scale, scale=1.0 / scale)
    return Flow(CompositeTransform([first, *more]), DegenerateGaussian([x.shape[1]]))


def variances_of(x, noise):
    covariance = x.double().mT.cov(correction=0)
    return torch.linalg.eigvalsh(covariance + noise**2 * torch.eye(len(covariance), dtype=torch.float64)).flip(0)


@pytest.mark.parametrize("noise", [NOISE, 0.001])
@pytest.mark.parametrize("offset", [0.0, 30.0, 1e3, 1e4, 3e5])
def test_the_spectrum_of_a_linear_flow_is_the_datas_wherever_the_origin_is(offset, noise):
    x = plane(offset)
    flow = standardising(x, randomize(LULinear(3, identity_init=False)))
    found = spectrum(flow, x, data_noise=noise, generator=seeded())
    # 2000 draws of the noise are what its variance is known from
    torch.testing.assert_close(found.signal_to_noise, variances_of(x, noise), rtol=0.08, atol=0.0)
    if offset < 1e5:  # where rounding to float32 is no noise of the size of σ_x
        assert intrinsic_dimension(flow, x, data_noise=noise, generator=seeded()) == 2


@pytest.mark.parametrize("offset", [1e3, 1e4])
def test_a_spectrum_far_from_the_origin_is_that_of_the_flow_in_float64(offset):
    x = plane(offset)
    flow = standardising(x, *randomize(coupling_flow(3, layers=3), 0.3)._transform._transforms)
    precise = copy.deepcopy(flow).double()
    of_float32, of_float64 = (
        spectrum(each, x.to(dtype), data_noise=0.0, generator=seeded()).signal_to_noise
        for each, dtype in ((flow, torch.float32), (precise, torch.float64))
    )
    torch.testing.assert_close(of_float32, of_float64, rtol=1e-6, atol=0.0)
    local = [
        pointwise_spectrum(each, x[:50].to(dtype), data=x.to(dtype), data_noise=0.0, generator=seeded())
        for each, dtype in ((flow, torch.float32), (precise, torch.float64))
    ]
    torch.testing.assert_close(*local, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("features", [3, 70])
def test_the_chart_and_the_spectrum_hold_far_from_the_origin(features):
    x = plane(1e4, features, rows=300)
    flow = standardising(x)
    found = spectrum(flow, x, data_noise=NOISE, jacobians=1, generator=seeded()).signal_to_noise
    torch.testing.assert_close(found[:2], variances_of(x, NOISE)[:2], rtol=0.1, atol=0.0)
    chart = chart_of(flow, x, data_noise=NOISE, generator=seeded())
    precise = replace(chart, flow=copy.deepcopy(flow).double()).first(2)
    scores = precise.coordinates(x.double()).detach()
    torch.testing.assert_close(scores.var(0), variances_of(x, NOISE)[:2].double(), rtol=0.1, atol=0.0)


def test_beyond_a_thousand_features_too_the_variances_are_those_of_the_data():
    """The response is known from twice D draws, whose inverse is twice too large in the mean."""
    x = plane(1e4, 1030, rows=500)
    found = spectrum(standardising(x), x, data_noise=NOISE, generator=seeded()).signal_to_noise
    torch.testing.assert_close(found, variances_of(x, NOISE), rtol=0.1, atol=0.0)


@pytest.mark.parametrize("name", FLOWS)
def test_float32_that_resolves_the_differences_stays_and_the_numbers_with_it(name):
    flow, x, context = randomize(swapped(name).float(), 0.1), curve(60).float(), context_for(name, 60)
    context = None if context is None else context.float()
    latents = Latents(flow, base_of(flow), x, context, 0.1, seeded())
    latents.covariance()
    assert latents._encode.dtype == torch.float32


@pytest.mark.parametrize("name", FLOWS)
def test_every_flow_goes_over_to_float64_where_it_must_and_stays_as_it_was(name):
    flow, x, context = randomize(swapped(name).float(), 0.1), curve(60).float() + 50.0, context_for(name, 60)
    context = None if context is None else context.float()
    before = copy.deepcopy(flow.state_dict())
    latents = Latents(flow, base_of(flow), x, context, 1e-4, seeded())
    jacobians = latents.jacobians(5)
    assert latents._encode.dtype == torch.float64
    assert jacobians.shape == (5, x.shape[1], x.shape[1])
    assert_same_state(flow.state_dict(), before)


class Bound(Transform):
    """Standardises, and cannot be copied."""

    def __init__(self, offset):
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, inputs, context=None):
        return 2.0 * (inputs - self.offset), inputs.new_full((len(inputs),), inputs.shape[1] * math.log(2.0))

    def __deepcopy__(self, memo):
        raise RuntimeError("one of its kind")


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_flow_that_has_no_float64_form_takes_a_step_that_its_data_resolve(offset):
    x = plane(offset)
    found = spectrum(Flow(Bound(offset), DegenerateGaussian([3])), x, data_noise=NOISE, generator=seeded())
    torch.testing.assert_close(found.signal_to_noise, variances_of(x, NOISE), rtol=0.08, atol=0.0)
