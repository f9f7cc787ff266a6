"""The fast μ of a linear flow, against eigenvalues of the covariance of its data in closed form."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import LULinear

from nflows_spread import DegenerateGaussian
from nflows_spread.dimension import quick_spectrum
from nflows_spread.dimension.quick_spectrum import quick_signal_to_noise
from support import randomize

pytestmark = pytest.mark.usefixtures("float64")
FEATURES = 6


@pytest.fixture
def flow():
    return Flow(randomize(LULinear(FEATURES)), DegenerateGaussian([FEATURES])).eval()


@pytest.fixture
def x():
    return torch.randn(256, 2) @ torch.randn(2, FEATURES) + 3.0


def covariance(x):
    return (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)


def quick(flow, x, data_noise=0.1, spread_variance=0.01):
    return quick_signal_to_noise(flow, x, data_noise=data_noise, spread_variance=spread_variance)


def by_responses(monkeypatch, per_feature):
    """As for more than a thousand features."""
    monkeypatch.setattr(quick_spectrum, "MOST_FEATURES_OF_JACOBIANS", FEATURES - 1)
    monkeypatch.setattr(quick_spectrum, "_RESPONSES_PER_FEATURE", per_feature)


@pytest.mark.parametrize("draws", [None, 2000.0])
def test_with_noise_it_is_the_variance_of_noisy_data_in_each_direction(flow, x, draws, monkeypatch):
    if draws is not None:
        by_responses(monkeypatch, draws)
    expected = torch.linalg.eigvalsh(covariance(x) + 0.01 * torch.eye(FEATURES)).flip(0)
    torch.testing.assert_close(quick(flow, x), expected, rtol=1e-6 if draws is None else 0.1, atol=0.0)


@pytest.mark.parametrize("draws", [None, 2000.0])
def test_without_noise_the_spread_of_the_prior_stands_in_for_it(flow, x, draws, monkeypatch):
    if draws is not None:
        by_responses(monkeypatch, draws)
    weight = flow._transform.weight().detach()
    noise = weight @ weight.T
    signal = weight @ covariance(x) @ weight.T + 0.05 * torch.eye(FEATURES)
    expected = torch.linalg.eigvals(torch.linalg.solve(noise, signal)).real.sort(descending=True).values
    found = quick(flow, x, data_noise=0.0, spread_variance=0.05)
    torch.testing.assert_close(found, expected, rtol=1e-6 if draws is None else 0.1, atol=0.0)


def test_few_responses_give_it_without_bias(flow, x, monkeypatch):
    """In one direction alone, where the inverse of a Wishart matrix has its mean in closed form."""
    by_responses(monkeypatch, 4.0)
    x = x[:, :1] * torch.ones(FEATURES)
    found = torch.stack([quick(flow, x)[0] for _ in range(300)]) - 0.01
    expected = float(torch.linalg.eigvalsh(covariance(x))[-1])
    assert float(found.mean()) == pytest.approx(expected, rel=4.0 * float(found.std()) / expected / 300**0.5)
    assert float(found.std()) < 0.5 * expected


def test_rows_beyond_256_are_not_looked_at(flow, x):
    torch.testing.assert_close(quick(flow, torch.cat([x, 100.0 * x])), quick(flow, x))


def test_noise_and_directions_are_those_of_the_generator(flow, x, monkeypatch):
    by_responses(monkeypatch, 4.0)
    options = {"data_noise": 0.1, "spread_variance": 0.01}
    one, same = (
        quick_signal_to_noise(flow, x, generator=torch.Generator().manual_seed(3), **options) for _ in range(2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, quick(flow, x))
