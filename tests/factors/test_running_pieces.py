"""Pieces without parameters: running averages against expectation maximisation, from batches and in processes."""

import copy

import pytest
import torch

from mixtures import covariances_of, means_of
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss, base_of
from nflows_spread.factors import LowerTriangularFactor, RunningAverageFactor
from nflows_spread.factors.running_average import averages_of_this_process
from nflows_spread.linalg.expectation_maximization import expectation_maximization, weighted_moments
from nflows_spread.models import coupling_flow
from support import assert_same_state, assert_two_processes_observe_as_one


def clusters(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]], dtype=torch.float64)
    noise = torch.randn(rows, 3, generator=generator, dtype=torch.float64)
    return centres[torch.arange(rows) % 3] + noise * torch.tensor([1.0, 0.3, 0.1], dtype=torch.float64)


def mixture(decay=0.99, learn_mean=True, lag=0.0):
    """Pieces that are about right, past their first steps."""
    kind = RunningAverageFactor.of_decay(decay, lag=lag)
    base = DegenerateGaussianMixture([3], 3, factor=kind, learn_mean=learn_mean).double()
    base.fit_pieces(clusters(100, seed=1), generator=torch.Generator().manual_seed(0))
    return base


def test_with_a_decay_of_0_a_batch_is_a_step_of_expectation_maximisation():
    base, z = mixture(decay=0.0), clusters(300)
    weights, means, covariances = weighted_moments(z, base.responsibilities(z).detach(), 0.0, 1e-12)
    base.observe(z)
    torch.testing.assert_close(base.weights, weights)
    torch.testing.assert_close(means_of(base), means)
    torch.testing.assert_close(covariances_of(base), covariances)


def test_averages_over_batches_are_quotients_of_averaged_sums():
    base, decay = mixture(decay=0.8), 0.8
    weights, means, covariances = base.weights.detach(), means_of(base), covariances_of(base)
    first = weights.unsqueeze(1) * means
    second = weights.view(-1, 1, 1) * (covariances + means.unsqueeze(2) * means.unsqueeze(1))
    for seed in range(4):
        z = clusters(60, seed)
        given = base.responsibilities(z).detach()
        base.observe(z)
        weights = decay * weights + (1 - decay) * given.mean(0)
        first = decay * first + (1 - decay) * given.mT @ z / 60
        second = decay * second + (1 - decay) * torch.einsum("nm,ni,nj->mij", given, z, z) / 60
        mean = first / weights.unsqueeze(1)
        torch.testing.assert_close(base.weights, weights)
        torch.testing.assert_close(means_of(base), mean)
        expected = second / weights.view(-1, 1, 1) - mean.unsqueeze(2) * mean.unsqueeze(1)
        torch.testing.assert_close(covariances_of(base), expected)


def test_batches_lead_to_the_maximum_of_all_latents(generator):
    base, z = mixture(decay=0.98), clusters(3_000)
    for _ in range(300):
        base.observe(z[torch.randint(len(z), (300,), generator=generator)])
    options = {"pseudo_counts": 0.0, "tolerance": 1e-8, "generator": generator}
    best = expectation_maximization(z, 3, **options).log_likelihood
    assert base.log_prob(z).mean().item() == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("tied", [False, True, "semi"])
def test_a_piece_of_no_weight_stays_as_it_is(tied):
    """Six pieces for three points: three of them have no latents at all."""
    x = torch.tensor([[0.0, 0.0], [5.0, 0.0], [0.0, 7.0]]).repeat(20, 1)
    base = DegenerateGaussianMixture(2, 6, factor=RunningAverageFactor, tied=tied, learn_mean=True).train()
    base.fit_pieces(x)
    weights = base.weights.clone()
    base.observe(x)
    assert torch.isfinite(base.log_prob(x)).all()
    assert not any(torch.isnan(part).any() for part in base.state_dict().values() if torch.is_tensor(part))
    torch.testing.assert_close(base.weights, weights, rtol=0.0, atol=1e-3)


def test_without_means_it_averages_second_moments():
    base = DegenerateGaussianMixture([3], 2, factor=RunningAverageFactor.of_decay(0.0), learn_mean=False).double()
    z = clusters(200)
    given = base.responsibilities(z)
    base.observe(z)
    expected = torch.einsum("nm,ni,nj->mij", given / given.sum(0), z, z)
    torch.testing.assert_close(covariances_of(base), expected)
    assert base.locs is None


def test_samples_of_new_pieces_are_of_the_dtype_of_their_factors():
    base = DegenerateGaussianMixture([3], 2, factor=RunningAverageFactor)
    assert base.sample(4).dtype == torch.float32
    assert base.double().sample(4).dtype == torch.float64


def test_one_piece_is_the_running_average_of_the_single_prior():
    base = DegenerateGaussianMixture([3], 1, factor=RunningAverageFactor, learn_mean=False).double()
    single = DegenerateGaussian([3], factor=RunningAverageFactor).double()
    for seed in range(5):
        z = clusters(50, seed)
        for prior in (base, single):
            prior.observe(z)
        torch.testing.assert_close(base.covariance, single.covariance)
        torch.testing.assert_close(base.log_prob(z), single.log_prob(z))


def test_it_has_nothing_to_train_and_the_loss_shows_it_the_latents_of_training_steps_alone():
    flow = coupling_flow(3, layers=2, base=mixture().float())
    base, x = base_of(flow), clusters(50).float()
    assert not any(parameter.requires_grad for parameter in base.parameters())
    objective, before = SpreadKLLoss(flow, data_noise=0.1), copy.deepcopy(base.state_dict())
    objective.eval()(x)
    with torch.no_grad():
        objective.train()(x)
    assert_same_state(base.state_dict(), before)
    objective(x).backward()
    assert not torch.equal(base.locs, before["locs"])
    assert not torch.equal(base.logits, before["logits"])


def test_latents_that_are_not_finite_are_left_out_and_a_lag_decomposes_when_it_must():
    base = mixture(lag=0.2)
    before, z = copy.deepcopy(base.state_dict()), clusters(60)
    z[3, 1] = torch.nan
    base.observe(z)
    assert_same_state(base.state_dict(), before)
    for seed in range(30):
        base.observe(clusters(60, seed))
    exact = copy.deepcopy(base).eval()
    torch.testing.assert_close(base.log_prob(clusters(9)), exact.log_prob(clusters(9)), rtol=0.05, atol=0.05)


def test_another_kind_takes_over_and_is_trained_and_back():
    base = mixture()
    dense = base.with_factor(LowerTriangularFactor)
    assert all(parameter.requires_grad for parameter in dense.parameters())
    torch.testing.assert_close(covariances_of(dense), covariances_of(base))
    again = dense.with_factor(RunningAverageFactor)
    assert not any(parameter.requires_grad for parameter in again.parameters())
    torch.testing.assert_close(covariances_of(again), covariances_of(base))
    before = means_of(again)
    again.observe(clusters(60))
    assert (means_of(again) - before).abs().max() < 0.1  # as an average that is past its first steps


def test_the_moments_stay_in_float64_and_travel_with_the_state():
    base = mixture().float()
    assert base.factors.parts[0].second_moment.dtype == torch.float64
    fresh = DegenerateGaussianMixture([3], 3, factor=RunningAverageFactor).float()
    fresh.load_state_dict(base.state_dict())
    z = clusters(20).float()
    for prior in (fresh, copy.deepcopy(base)):
        prior.observe(z)
    base.observe(z)
    assert_same_state(fresh.state_dict(), base.state_dict())


def test_an_average_of_this_process_asks_no_other():
    base = mixture()
    with averages_of_this_process(base):
        base.observe(clusters(30))


def test_processes_that_train_together_average_their_latents(tmp_path):
    assert_two_processes_observe_as_one(mixture(), clusters(11), tmp_path)


def test_a_saved_flow_comes_back_bit_for_bit(tmp_path):
    pytest.importorskip("lightning_fabric", reason="needs the extra train")
    from nflows_spread.training import load_model, save_model

    flow, config = coupling_flow(3, layers=2, base=mixture(lag=0.1).float()).eval(), {"features": 3, "layers": 2}
    base_of(flow).data_noise = 0.1
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=config)
    again, x = load_model(tmp_path / "flow.pt"), clusters(9).float()
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert base_of(again).factors.kind.lag == 0.1
