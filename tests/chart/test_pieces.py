"""The density of a chart's coordinates in pieces: normalized, nested, its samples' density, on the manifold by area."""

import math
import pickle
from dataclasses import replace

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from nflows_spread.chart import Chart, LatentMaps
from nflows_spread.chart.pieces import Pieces


@pytest.fixture
def pieces():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(3, 2, 2, generator=generator, dtype=torch.float64)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    return Pieces(
        weights, torch.randn(3, 2, generator=generator, dtype=torch.float64), root @ root.mT + 0.1 * torch.eye(2)
    )


def as_torch_has_it(pieces):
    return MixtureSameFamily(Categorical(pieces.weights), MultivariateNormal(pieces.means, pieces.covariances))


def test_the_density_is_that_of_torch(pieces):
    c = torch.randn(50, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(pieces.log_prob(c), as_torch_has_it(pieces).log_prob(c), rtol=1e-12, atol=1e-12)
    wider = Pieces(pieces.weights, pieces.means, pieces.covariances + 0.3 * torch.eye(2))
    torch.testing.assert_close(pieces.widened(0.3).log_prob(c), wider.log_prob(c))


def test_the_first_coordinates_have_the_marginal_density(pieces):
    """The integral of the joint density over the second coordinate, on a grid."""
    grid = torch.linspace(-30.0, 30.0, 60_001, dtype=torch.float64)
    for value in (-0.7, 0.0, 1.3):
        joint = pieces.log_prob(torch.stack([torch.full_like(grid, value), grid], dim=1)).exp()
        marginal = pieces.first(1).log_prob(torch.tensor([[value]], dtype=torch.float64)).exp()
        assert float(marginal) == pytest.approx(float(torch.trapezoid(joint, grid)), rel=1e-8)


def test_draws_have_the_moments(pieces):
    draws = pieces.sample(200_000, generator=torch.Generator().manual_seed(2))
    mean, covariance = pieces.moments()
    torch.testing.assert_close(draws.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.mT.cov(), covariance, atol=0.05, rtol=0)


def arc(pieces=None, data_noise=0.0):
    """A chart of the identity in two features, with one coordinate: a line, at twice its natural scale."""
    maps = LatentMaps(
        torch.zeros(2, dtype=torch.float64),
        torch.tensor([[0.5], [0.0]], dtype=torch.float64),
        torch.tensor([[2.0, 0.0]], dtype=torch.float64),
    )
    flow = Flow(IdentityTransform(), StandardNormal([2])).double()
    return Chart(flow, maps, torch.ones(1, dtype=torch.float64), data_noise, "variance", torch.Size([2]), pieces)


def test_a_chart_with_pieces_has_their_density_by_length():
    """A coordinate of 1 is a length of 2, so that the density by length is half of that of the coordinate."""
    pieces = Pieces(torch.ones(1).double(), torch.tensor([[3.0]]).double(), torch.tensor([[[0.04]]]).double())
    chart = arc(pieces, data_noise=0.1)
    x = torch.tensor([[6.2, 0.0], [5.0, 1.0]], dtype=torch.float64)
    c = x[:, 0] / 2.0
    clean = torch.distributions.Normal(3.0, 0.2).log_prob(c)
    torch.testing.assert_close(chart.log_prob(x), clean - math.log(2.0))
    noisy = torch.distributions.Normal(3.0, math.hypot(0.2, 0.1)).log_prob(c)
    torch.testing.assert_close(chart.coordinate_log_prob(x), noisy)
    samples = chart.sample(10_000, generator=torch.Generator().manual_seed(0))
    assert float(samples[:, 0].mean()) == pytest.approx(6.0, abs=0.02)
    assert float(samples[:, 0].std()) == pytest.approx(0.4, rel=0.05)
    assert not bool(samples[:, 1].any())


def test_one_piece_is_the_gaussian_chart():
    gaussian = arc()
    one = replace(
        gaussian, pieces=Pieces(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    )
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(one.log_prob(x), gaussian.log_prob(x))
    torch.testing.assert_close(one.coordinate_log_prob(x), gaussian.coordinate_log_prob(x))


def test_charts_with_pieces_are_pickled_and_those_from_before_have_none():
    chart = arc(Pieces(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double()))
    assert torch.equal(pickle.loads(pickle.dumps(chart)).pieces.means, chart.pieces.means)
    old = dict(chart.__dict__)
    del old["pieces"]
    again = Chart.__new__(Chart)
    again.__setstate__(old)
    assert again.pieces is None


def test_fitted_pieces_are_no_thinner_than_their_floor_and_as_many_as_the_clusters():
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(400, 2, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 1e-9])
    c[:200, 0] += 30.0
    found = Pieces.fitted(c, floor=0.01, generator=generator)
    assert len(found.weights) == 2
    least = torch.linalg.eigvalsh(found.covariances)[:, 0].sqrt()
    torch.testing.assert_close(least, torch.full((2,), 0.01).double(), rtol=1e-3, atol=0)
    assert len(found.again(c[:50], floor=0.01).weights) == 2
