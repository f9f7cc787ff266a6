"""The prior that starts where the latents are, or is fitted to them at the end, and the σ_x of that."""

from __future__ import annotations

import copy

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread import (
    DegenerateGaussian,
    DegenerateGaussianMixture,
    SpreadKLLoss,
    base_of,
    encode,
    initialize_prior,
    prior_initialization,
    swap_base,
)
from nflows_spread.factors import KINDS, LowerTriangularFactor, RunningAverageFactor
from nflows_spread.models import coupling_flow
from support import randomize, refused

FEATURES = 4


def flow_with(kind="LowerTriangularFactor", **options):
    factor = KINDS[kind]
    extra = {"LowRankFactor": {"rank": 2}, "LowRankPlusDiagonalFactor": {"rank": FEATURES}}.get(kind, {})
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
@pytest.mark.parametrize("warm", [False, True])
def test_the_prior_takes_on_the_moments_of_the_latents(kind, learn_mean, warm, x):
    flow = flow_with(kind, learn_mean=learn_mean, spread_variance=1e-10)
    z = encode(flow, x).detach()
    before = flow.log_prob(x).mean()
    initialize_prior(flow, x, warm_start=warm)
    moment = z.mT @ z / len(z)
    if learn_mean:
        torch.testing.assert_close(base_of(flow).loc.detach(), z.mean(0))
        moment = torch.cov(z.mT, correction=0)
    expected = moment if warm else shrunk(z, moment)
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


@pytest.mark.parametrize("offset", [0.0, 3e5, 1e6])
def test_a_mean_far_from_0_takes_no_digits_of_the_covariance(offset, float64, generator):
    x = offset + 0.01 * torch.randn(2000, FEATURES, generator=generator)
    base = DegenerateGaussian([FEATURES], learn_mean=True, spread_variance=1e-10)
    initialize_prior(Flow(IdentityTransform(), base), x, warm_start=True)
    torch.testing.assert_close(base.covariance.detach(), torch.cov(x.mT, correction=0), rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(base.loc.detach(), x.mean(0), rtol=1e-14, atol=0.0)


@pytest.mark.parametrize("learn_mean", [False, True])
def test_latents_that_are_encoded_at_each_pass_are_those_that_are_held(learn_mean, monkeypatch):
    x, found = torch.randn(700, FEATURES, generator=torch.Generator().manual_seed(1)), []
    for held in (10**9, 10):
        monkeypatch.setattr(prior_initialization, "_HELD", held)
        base = DegenerateGaussianMixture([FEATURES], 3, learn_mean=learn_mean)
        torch.manual_seed(0)
        flow, generator = coupling_flow(FEATURES, layers=1, base=base), torch.Generator()
        initialize_prior(flow, x, data_noise=0.2, generator=generator.manual_seed(0))
        found.append((flow.log_prob(x), torch.rand(3, generator=generator)))
    torch.testing.assert_close(*found, rtol=0.0, atol=0.0)


@pytest.mark.parametrize("base", [DegenerateGaussian([2]), DegenerateGaussianMixture([2], 3)], ids=["one", "pieces"])
def test_a_prior_of_another_size_than_the_latents_is_refused_and_stays_as_it_is(base, x):
    flow = coupling_flow(FEATURES, layers=1, base=base)
    with refused(ValueError, f"as many features as the flow has latents, {FEATURES}, got 2", unchanged=flow):
        initialize_prior(flow, x)


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


@pytest.mark.parametrize("after", [DegenerateGaussian, lambda shape: DegenerateGaussianMixture(shape, 2)])
def test_a_prior_in_the_place_of_another_knows_its_number_and_is_fitted_under_it(after):
    flow, x = coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES])), torch.randn(400, FEATURES)
    SpreadKLLoss(flow, data_noise=0.7)
    swapped = swap_base(flow, after([FEATURES]))
    assert base_of(swapped).data_noise == 0.7
    given, known = (copy.deepcopy(swapped) for _ in range(2))
    initialize_prior(given, x, data_noise=0.7, generator=torch.Generator().manual_seed(0))
    initialize_prior(known, x, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(known.log_prob(x), given.log_prob(x), rtol=0.0, atol=0.0)


def test_a_prior_that_knows_a_number_keeps_it_in_another_flow():
    flow, base = coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES])), DegenerateGaussian([FEATURES])
    SpreadKLLoss(flow, data_noise=0.7)
    base.data_noise = 0.1
    assert base_of(swap_base(flow, base)).data_noise == 0.1


def test_a_fit_to_noisy_latents_tells_the_prior_and_one_without_a_number_does_not():
    flow, x = coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES])), torch.randn(20, FEATURES)
    initialize_prior(flow, x)
    assert base_of(flow).data_noise is None
    initialize_prior(flow, x, data_noise=0.3)
    assert base_of(flow).data_noise == 0.3


@pytest.mark.parametrize("scale", [1e2, 1e6])
@pytest.mark.parametrize(
    ("factor", "options"),
    [(factor, {"tied": tied}) for factor in (LowerTriangularFactor, RunningAverageFactor) for tied in (False, True)]
    + [(RunningAverageFactor, {"tied": "semi"})],
)
def test_latents_that_are_flat_up_to_rounding_are_fitted_at_any_scale(factor, options, scale):
    """Where rounding in their covariance is far above σ_Z², a start and a last step leave a prior with densities."""
    generator = torch.Generator().manual_seed(0)
    x = scale * torch.randn(400, 2, generator=generator).double() @ torch.randn(2, 80, generator=generator).double()
    base = DegenerateGaussianMixture([80], 4, factor=factor, **options).double()
    flow = Flow(IdentityTransform(), base)
    for warm_start in (False, True):
        initialize_prior(flow, x, warm_start=warm_start, generator=generator)
        assert bool(torch.isfinite(flow.log_prob(x)).all())
    leading = base.eigenvalues[:2] / torch.linalg.eigvalsh(torch.cov(x.mT, correction=0))[-2:].flip(0)
    torch.testing.assert_close(leading, torch.ones_like(leading), rtol=0.2, atol=0.0)
