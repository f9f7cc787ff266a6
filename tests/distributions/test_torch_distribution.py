"""A prior as a distribution of torch, beside torch's own of the same mean and covariance."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.distributions.torch_distribution import PriorDistribution
from support import lower_triangular

pytestmark = pytest.mark.usefixtures("float64")
NOISE = 0.2


def prior():
    base = DegenerateGaussian([2, 3], learn_mean=True, spread_variance=NOISE).double()
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(6, 4, 1.5))
        base.loc.copy_(torch.arange(6.0).view(2, 3))
    return base


def torchs(base, noise):
    covariance = base.covariance.detach() + noise * torch.eye(6)
    return MultivariateNormal(base.loc.detach().flatten(), covariance)


@pytest.mark.parametrize(
    ("batch", "leading", "expected"),
    [((), (), ()), ((), (4,), (4,)), ((5,), (), (5,)), ((5,), (4, 1), (4, 5)), ((3, 5), (7, 3, 1), (7, 3, 5))],
)
def test_densities_follow_torchs_rules_for_batches(batch, leading, expected):
    base = prior()
    points = torch.randn(*leading, 2, 3)
    found = PriorDistribution(base, batch).log_prob(points)
    assert found.shape == expected
    alone = torchs(base, NOISE).log_prob(points.flatten(-2))
    torch.testing.assert_close(found, alone.expand(expected))
    assert torch.equal(PriorDistribution(base).expand(batch).log_prob(points), found)


@pytest.mark.parametrize("batch", [(), (5,), (3, 5)])
def test_mean_and_variance_are_those_of_the_prior_without_its_spread(batch):
    base = prior()
    ours = PriorDistribution(base, batch)
    assert ours.batch_shape == batch
    assert ours.event_shape == (2, 3)
    expected = torchs(base, 1e-9)
    for mine, other in ((ours.mean, expected.mean), (ours.variance, expected.variance)):
        torch.testing.assert_close(mine, other.view(2, 3).expand(*batch, 2, 3))
    assert ours.support.check(torch.zeros(7, 2, 3)).shape == (7,)


@pytest.mark.parametrize("batch", [(), (5,), (0,)])
@pytest.mark.parametrize("shape", [(), (4,), (2, 0)])
def test_samples_have_the_shapes_of_torch_and_the_gradients_of_the_factor(batch, shape):
    base = prior()
    ours = PriorDistribution(base, batch)
    samples = ours.rsample(shape)
    assert samples.shape == torch.Size(shape) + torch.Size(batch) + (2, 3)
    assert ours.has_rsample
    assert not ours.sample(shape).requires_grad
    if samples.numel():
        assert samples.requires_grad


def test_samples_have_the_mean_and_covariance_they_claim():
    base = prior()
    samples = PriorDistribution(base, (100,)).sample((300,)).reshape(-1, 6)
    assert float((samples.mean(0) - base.loc.detach().flatten()).abs().max()) < 0.1
    assert float((samples.mT.cov() - base.covariance.detach()).abs().max()) < 0.3


def test_samples_of_a_mixture_have_no_gradient_by_what_chose_their_piece():
    assert not PriorDistribution(DegenerateGaussianMixture([3], 2)).has_rsample
