"""What is read off data that has noise of its own, by a flow whose density is known."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform

from nflows_spread import DegenerateGaussian
from nflows_spread.dimension import consensus_dimension, denoise, estimates_of, neighbour_dimension

pytestmark = pytest.mark.usefixtures("float64")

DATA_NOISE, FEATURES = 0.01, 6


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plane(ambient_noise):
    """A plane in six dimensions, with isotropic noise."""
    x = torch.cat([torch.randn(800, 2, generator=seeded(1)), torch.zeros(800, FEATURES - 2)], dim=1)
    return x + ambient_noise * torch.randn(x.shape, generator=seeded(2))


def flow_of(variance):
    """The density N(0, 1) along the plane, and across it one of this variance."""
    variances = torch.tensor([1.0, 1.0, *[variance] * (FEATURES - 2)])
    base = DegenerateGaussian([FEATURES], spread_variance=1e-12)
    return Flow(PointwiseAffineTransform(scale=variances.rsqrt()), base)


def test_neighbours_that_the_noise_matters_to_are_those_of_the_points_without_it():
    """The flow takes the noise for wider than it is, so that each of four steps leaves about half of it."""
    taken_for = 2.0 * (0.1**2 + DATA_NOISE**2)
    x, flow = plane(0.1), flow_of(taken_for)
    raw = neighbour_dimension(x)
    found = estimates_of(flow, x, raw, data_noise=DATA_NOISE, generator=seeded(3))
    assert found.ambient_noise == pytest.approx(0.1, rel=0.05)
    clean = denoise(flow, x, variance=DATA_NOISE**2 + found.ambient_noise**2, times=4)
    left = (1.0 - (DATA_NOISE**2 + found.ambient_noise**2) / taken_for) ** 4
    assert float(clean[:, 2:].std()) == pytest.approx(0.1 * left, rel=0.05)
    expected = neighbour_dimension(clean, noisy=True)
    assert found.neighbours.value == pytest.approx(expected.value, rel=1e-6)
    assert found.neighbours.above == pytest.approx(expected.above, rel=1e-6)
    assert raw.value > 3.0
    assert found.neighbours.value == pytest.approx(2.0, rel=0.15)
    assert int(consensus_dimension(found)) == 2


@pytest.mark.parametrize("ambient_noise", [0.0, 1e-4])
def test_neighbours_that_no_noise_matters_to_are_those_of_the_points_themselves(ambient_noise):
    x, flow = plane(ambient_noise), flow_of(ambient_noise**2 + DATA_NOISE**2)
    raw = neighbour_dimension(x)
    found = estimates_of(flow, x, raw, data_noise=DATA_NOISE, generator=seeded(3))
    assert found.neighbours is raw
    assert found.ambient_noise == 0.0
    assert int(consensus_dimension(found)) == 2
