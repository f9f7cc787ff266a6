"""Tied pieces without parameters: one running average at M scales, against expectation maximisation and known ones."""

import copy
from itertools import pairwise

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mixtures import covariances_of, means_of
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss, base_of
from nflows_spread.factors import RunningAverageFactor, SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from support import assert_same_state, assert_two_processes_observe_as_one

FEATURES, SCALES = 20, torch.tensor([0.3, 0.8, 2.5], dtype=torch.float64)
ROOT = torch.linalg.qr(torch.randn(FEATURES, FEATURES, generator=torch.Generator().manual_seed(7)).double()).Q
ROOT = ROOT * torch.linspace(1.0, 0.1, FEATURES).double()


def latents(rows, seed=0, offset=0.0):
    """s ROOT ε at one of three scales s, which are equally frequent."""
    generator = torch.Generator().manual_seed(seed)
    scale = SCALES[torch.randint(3, (rows, 1), generator=generator)]
    return scale * torch.randn(rows, FEATURES, generator=generator).double() @ ROOT.mT + offset


def mixture(decay=0.98, lag=0.0, learn_mean=False, **options):
    kind = RunningAverageFactor.of_decay(decay, lag=lag)
    base = DegenerateGaussianMixture([FEATURES], 3, factor=kind, tied=True, learn_mean=learn_mean, **options)
    return base.double()


def fitted(**options):
    """About right, and past its first steps."""
    base = mixture(**options)
    base.fit_pieces(latents(400, seed=1), generator=torch.Generator().manual_seed(0))
    return base


def truth():
    roots = SCALES.view(-1, 1, 1) * torch.linalg.cholesky(ROOT @ ROOT.mT)
    normal = MultivariateNormal(torch.zeros(3, FEATURES).double(), scale_tril=roots)
    return MixtureSameFamily(Categorical(torch.ones(3).double()), normal)


@pytest.mark.parametrize("learn_mean", [True, False])
@pytest.mark.parametrize("spread_variance", [1e-6, 1e-2])
def test_the_density_and_its_gradient_are_those_of_torch_distributions(learn_mean, spread_variance):
    base = fitted(learn_mean=learn_mean, spread_variance=spread_variance)
    factors = [base.factors.factor_of(m, base.spread_variance) for m in range(3)]
    noise = spread_variance * torch.eye(FEATURES).double()
    normal = MultivariateNormal(means_of(base), torch.stack([factor.second_moment for factor in factors]) + noise)
    z = latents(30, seed=2).requires_grad_()
    expected = MixtureSameFamily(Categorical(base.weights.detach()), normal).log_prob(z)
    torch.testing.assert_close(base.log_prob(z), expected, rtol=1e-10, atol=1e-10)
    mine, other = (torch.autograd.grad(value.sum(), z)[0] for value in (base.log_prob(z), expected))
    assert (mine - other).norm() <= 1e-10 * other.norm()
    torch.testing.assert_close(
        torch.stack([base.piece(m).log_prob(z) for m in range(3)], 1), normal.log_prob(z.unsqueeze(1))
    )


def test_its_densities_are_those_of_a_cholesky_factor_at_the_same_scales():
    base = fitted(spread_variance=1e-2)
    trained = base.with_factor(SpreadCholeskyFactor)
    z = latents(30, seed=2)
    torch.testing.assert_close(base.log_prob(z), trained.log_prob(z).detach(), rtol=1e-10, atol=1e-10)
    again = trained.with_factor(RunningAverageFactor)
    torch.testing.assert_close(again.log_prob(z), base.log_prob(z), rtol=1e-10, atol=1e-10)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_densities_can_be_mapped_and_differentiated_twice():
    base, z = fitted(), latents(4, seed=2).requires_grad_()
    expected = torch.autograd.grad(base.log_prob(z).sum(), z)[0]
    one = torch.func.grad(lambda point: base.log_prob(point.unsqueeze(0))[0])
    torch.testing.assert_close(torch.func.vmap(one)(z.detach()), expected, rtol=1e-8, atol=1e-10)
    assert torch.autograd.gradgradcheck(base.log_prob, z[:1].detach().requires_grad_())


@pytest.mark.parametrize("learn_mean", [True, False])
@torch.no_grad()
def test_with_a_decay_of_0_each_batch_is_a_step_that_does_not_lower_its_likelihood(learn_mean):
    """As a generalised step of expectation maximisation, first of the scales and then of the shape."""
    base, z, reached = fitted(decay=0.0, learn_mean=learn_mean), latents(400, seed=3), []
    for _ in range(20):
        given = base.responsibilities(z)
        base.observe(z)
        torch.testing.assert_close(base.weights, given.mean(0))
        if learn_mean:
            torch.testing.assert_close(means_of(base), given.mT @ z / given.sum(0).unsqueeze(1))
        reached.append(float(base.log_prob(z).mean()))
    assert all(after >= before - 1e-5 for before, after in pairwise(reached))  # what is averaged is without σ_Z²
    away = z.unsqueeze(1) - means_of(base)
    moment = torch.einsum("nm,nmi,nmj->ij", given / base.factors.squares / len(z), away, away)
    torch.testing.assert_close(base.factors.factor.second_moment, moment, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_batches_lead_to_the_scales_and_the_shape_of_the_latents():
    base = fitted(decay=0.99)
    for seed in range(300):
        base.observe(latents(200, seed=seed + 10))
    z = latents(20_000, seed=5)
    assert float(truth().log_prob(z).mean() - base.log_prob(z).mean()) < 0.02
    found = (base.factors.squares / base.factors.squares[0]).sqrt()
    torch.testing.assert_close(found, SCALES / SCALES[0], rtol=0.03, atol=0.0)
    covariance = SCALES.square().mean() * ROOT @ ROOT.mT
    assert float((base.covariance - covariance).norm() / covariance.norm()) < 0.05


@torch.no_grad()
def test_means_are_averaged_too():
    base = mixture(learn_mean=True)
    base.assign(torch.ones(3), torch.full((3, FEATURES), 0.45), [scale * ROOT for scale in SCALES])
    for seed in range(300):
        base.observe(latents(200, seed=seed, offset=0.5))
    errors = (means_of(base) - 0.5) @ torch.linalg.inv(ROOT).mT / SCALES.unsqueeze(1)
    assert float(errors.square().mean()) < 2.0 / (50 * 200 / 3)  # of about so many latents that are remembered
    z = latents(5_000, seed=999)
    assert float(truth().log_prob(z).mean() - base.log_prob(z + 0.5).mean()) < 0.1


def test_one_gaussian_costs_what_the_scales_are_worth():
    base = fitted()
    single = DegenerateGaussian([FEATURES], factor=RunningAverageFactor.of_decay(0.99)).double()
    for seed in range(200):
        for prior in (base, single):
            prior.observe(latents(100, seed=seed + 10))
    z = latents(5_000, seed=5)
    assert float(base.log_prob(z).mean() - single.log_prob(z).mean()) > 3.0


def test_it_has_nothing_to_train_and_the_loss_shows_it_the_latents_of_training_steps_alone():
    flow = coupling_flow(FEATURES, layers=2, base=fitted().float())
    base, x = base_of(flow), latents(50).float()
    assert not any(parameter.requires_grad for parameter in base.parameters())
    objective, before = SpreadKLLoss(flow, data_noise=0.1), copy.deepcopy(base.state_dict())
    objective.eval()(x)
    assert_same_state(base.state_dict(), before)
    objective.train()(x).backward()
    assert not torch.equal(base.factors.log_scales, before["factors.log_scales"])
    assert not torch.equal(base.logits, before["logits"])


def test_latents_that_are_not_finite_are_left_out_and_a_lag_decomposes_when_it_must():
    base = fitted(lag=0.2)
    before, z = copy.deepcopy(base.state_dict()), latents(60)
    z[3, 1] = torch.nan
    base.observe(z)
    assert_same_state(base.state_dict(), before)
    for seed in range(30):
        base.observe(latents(60, seed))
    exact = copy.deepcopy(base).eval()
    torch.testing.assert_close(base.log_prob(latents(9)), exact.log_prob(latents(9)), rtol=0.05, atol=0.05)
    assert not torch.equal(base.log_prob(latents(9)), exact.log_prob(latents(9)))


@pytest.mark.parametrize("tied", [True, "semi"])
def test_a_piece_taken_out_in_training_has_its_own_density_also_where_the_shape_lags(tied, generator):
    factor = RunningAverageFactor.of_decay(0.9, lag=0.3)
    base = DegenerateGaussianMixture(2, 2, factor=factor, tied=tied, learn_mean=False).train()
    z = torch.randn(500, 2, generator=generator, dtype=torch.float64)
    z[::2] *= 10.0
    for _ in range(9):
        base.observe(z)
    pieces = [base.piece(m) for m in range(2)]
    joint = torch.stack([piece.log_prob(z[:50]) for piece in pieces], 1) + base.weights.log()
    torch.testing.assert_close(joint.logsumexp(1), base.log_prob(z[:50]), rtol=0.02, atol=0.05)
    assert float((joint[:, 0] - joint[:, 1]).std()) > 1.0


@torch.no_grad()
def test_samples_have_the_covariance_of_their_piece_and_lie_in_its_leading_directions():
    base = fitted().float()
    generator = torch.Generator().manual_seed(0)
    for piece, covariance in enumerate(covariances_of(base)):
        drawn = base.sample(20_000, piece=piece, generator=generator)
        assert drawn.dtype == torch.float32
        assert float((drawn.double().mT.cov() - covariance).norm() / covariance.norm()) < 0.05
        flat = base.sample(50, piece=piece, rank=4, generator=generator)
        assert torch.linalg.matrix_rank(flat, rtol=1e-4) == 4


def test_processes_that_train_together_average_their_latents(tmp_path):
    assert_two_processes_observe_as_one(fitted(learn_mean=True), latents(11), tmp_path)


def test_a_saved_flow_comes_back_bit_for_bit(tmp_path):
    pytest.importorskip("lightning_fabric", reason="needs the extra train")
    from nflows_spread.training import load_model, save_model

    flow, config = coupling_flow(FEATURES, layers=2, base=fitted(lag=0.1).float()), {"features": FEATURES, "layers": 2}
    base_of(flow).data_noise = 0.1
    save_model(tmp_path / "flow.pt", flow.eval(), build=coupling_flow, config=config)
    again, x = load_model(tmp_path / "flow.pt"), latents(9).float()
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
