"""Coordinates free of the gauge of the latent space."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform, LULinear

from nflows_spread import DegenerateGaussian, encode
from nflows_spread.chart import chart_of
from nflows_spread.models import coupling_flow
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")

NOISE = 0.05


def seeded():
    return torch.Generator().manual_seed(0)


def plane(rows=3000):
    """A plane in four dimensions, with variances 4 and 1."""
    x = torch.zeros(rows, 4)
    x[:, :2] = torch.randn(rows, 2, generator=seeded()) * torch.tensor([2.0, 1.0])
    return x


def linear_flow(seed=0):
    torch.manual_seed(seed)
    return Flow(randomize(LULinear(4, identity_init=False)), DegenerateGaussian([4])).eval()


def test_coordinates_do_not_depend_on_a_linear_gauge():
    x = plane()
    first, second = (
        chart_of(flow, x, data_noise=NOISE, generator=seeded()).coordinates(encode(flow, x), 2).detach()
        for flow in (linear_flow(1), linear_flow(2))
    )
    signs = (first * second).sum(0).sign()
    torch.testing.assert_close(first, second * signs, rtol=1e-6, atol=1e-6)


def test_the_coordinates_of_a_plane_are_its_own_of_unit_variance():
    x, flow = plane(), linear_flow()
    coordinates = chart_of(flow, x, data_noise=NOISE, generator=seeded()).coordinates(encode(flow, x), 2).detach()
    whitened = (x - x.mean(0))[:, :2] / x[:, :2].std(0)
    correlation = torch.corrcoef(torch.cat([coordinates, whitened], dim=1).mT)[:2, 2:].abs()
    torch.testing.assert_close(correlation, torch.eye(2), rtol=0, atol=0.05)
    torch.testing.assert_close(coordinates.var(0), torch.ones(2), rtol=0, atol=0.02)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-4), (torch.float64, 1e-9)], ids=str)
def test_latents_come_back_from_all_coordinates_in_the_flows_dtype(dtype, rtol):
    flow = randomize(coupling_flow(4, layers=2)).eval().to(dtype)
    chart = chart_of(flow, plane().to(dtype), data_noise=NOISE, generator=seeded())
    z = encode(flow, plane(10).to(dtype)).detach()
    torch.testing.assert_close(chart.latents(chart.coordinates(z, 4)), z, rtol=rtol, atol=rtol)


def test_the_coordinates_of_a_plane_in_many_features_are_its_own_too():
    """From few noisy copies of few rows, as beyond 128 features."""
    features, rows = 300, 60
    x = torch.zeros(rows, features)
    x[:, :2] = torch.randn(rows, 2, generator=seeded()) * torch.tensor([2.0, 1.0])
    flow = Flow(IdentityTransform(), DegenerateGaussian([features]))
    coordinates = chart_of(flow, x, data_noise=NOISE, generator=seeded()).coordinates(x, 2)
    axes = torch.linalg.qr(x[:, :2] - x[:, :2].mean(0)).Q
    within = axes @ (axes.mT @ coordinates)  # what a linear map of the plane's own coordinates explains
    torch.testing.assert_close(within, coordinates - coordinates.mean(0), rtol=0, atol=0.02)
    torch.testing.assert_close(coordinates.var(0), torch.ones(2), rtol=0, atol=0.05)
