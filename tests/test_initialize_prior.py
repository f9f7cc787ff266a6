"""The prior that starts where the latents are."""

from __future__ import annotations

import pytest
import torch
from nflows.distributions import StandardNormal

from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, encode, initialize_prior
from nflows_spread.factors import KINDS
from nflows_spread.models import coupling_flow
from support import randomize, refused

FEATURES = 4


def flow_with(kind="LowerTriangularFactor", **options):
    factor = KINDS[kind]
    extra = {"rank": 2} if kind == "LowRankFactor" else {}
    base = DegenerateGaussian([FEATURES], factor=lambda features: factor(features, **extra), **options)
    flow = coupling_flow(FEATURES, layers=2, base=base)
    for name, parameter in flow.named_parameters():
        if "factor" not in name:
            parameter.data.add_(0.1 * torch.randn_like(parameter))
    return flow


@pytest.fixture
def x(float64):
    return 0.01 * torch.randn(600, FEATURES) @ torch.randn(FEATURES, FEATURES) + 0.3


def shrunk(z, second_moment):
    """The same correlations times n / (n + D)."""
    weight = torch.full((FEATURES, FEATURES), len(z) / (len(z) + FEATURES)).fill_diagonal_(1.0)
    return weight * second_moment


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("learn_mean", [False, True])
def test_the_prior_takes_on_the_moments_of_the_latents(kind, learn_mean, x):
    flow = flow_with(kind, learn_mean=learn_mean, spread_variance=1e-10)
    z = encode(flow, x).detach()
    before = flow.log_prob(x).mean()
    initialize_prior(flow, x)
    moment = z.mT @ z / len(z)
    if learn_mean:
        torch.testing.assert_close(base_of(flow).loc.detach(), z.mean(0))
        moment = torch.cov(z.mT, correction=0)
    expected = shrunk(z, moment)
    if kind == "LowRankFactor":
        values, vectors = torch.linalg.eigh(expected)
        expected = (vectors[:, -2:] * values[-2:]) @ vectors[:, -2:].mT
    else:
        assert flow.log_prob(x).mean() > before
    torch.testing.assert_close(base_of(flow).covariance.detach(), expected, rtol=1e-6, atol=1e-9)


def test_data_noise_is_part_of_what_the_prior_starts_from(x):
    flow = coupling_flow(FEATURES, layers=1, base=DegenerateGaussian([FEATURES], learn_mean=True))
    randomize(flow, 0.0)
    initialize_prior(flow, x, data_noise=0.5, generator=torch.Generator().manual_seed(0))
    variances = base_of(flow).covariance.diagonal()
    assert (variances > 0.1).all()


def test_it_starts_also_from_fewer_rows_than_features_and_from_constant_data(float64):
    flow = flow_with("SpreadCholeskyFactor", learn_mean=True)
    for rows in (torch.rand(2, FEATURES), torch.ones(5, FEATURES)):
        initialize_prior(flow, rows)
        assert torch.isfinite(SpreadKLLoss(flow, data_noise=0.1)(rows))


def test_what_does_not_fit_is_refused_and_changes_nothing(x):
    flow = flow_with()
    with refused(TypeError, "must be a DegenerateGaussian, got StandardNormal"):
        initialize_prior(coupling_flow(FEATURES, layers=1, base=StandardNormal([FEATURES])), x)
    with refused(ValueError, "at least two rows", "(1, 4)", unchanged=flow):
        initialize_prior(flow, x[:1])
    with refused(ValueError, "data_noise", "-1", unchanged=flow):
        initialize_prior(flow, x, data_noise=-1)
    with refused(ValueError, "finite", unchanged=flow):
        initialize_prior(flow, x / 0.0)
