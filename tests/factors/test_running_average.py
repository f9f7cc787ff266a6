"""The running average as a factor: which latents it counts, what goes through it, and a density that lags behind."""

import copy
import pickle

import pytest
import torch

from factor_kinds import FEATURES, RANK, base_of_kind, random_root
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss
from nflows_spread.factors import RunningAverageFactor, running_average
from nflows_spread.linalg.dense import covariance_cholesky
from nflows_spread.models import coupling_flow
from support import assert_same_state, assert_two_processes_observe_as_one, refused

VARIANCE = torch.tensor(1e-4, dtype=torch.float64)


def test_the_first_observations_count_alike_and_later_ones_fade():
    factor, decay = RunningAverageFactor(3, decay=0.8), 0.8
    batches = [torch.randn(7, 3, dtype=torch.float64) for _ in range(9)]
    moments = [torch.eye(3).double(), *(z.T @ z / 7 for z in batches)]
    for step, z in enumerate(batches):
        factor.observe(z, VARIANCE)
        if step < 4:
            torch.testing.assert_close(factor.second_moment, sum(moments[: step + 2]) / (step + 2))
    expected = sum(moments[:5]) / 5
    for moment in moments[5:]:
        expected = decay * expected + (1 - decay) * moment
    torch.testing.assert_close(factor.second_moment, expected)


def test_its_sampling_error_costs_as_many_nats_as_that_of_a_covariance_of_the_latents_it_remembers():
    """D (D + 1) / 4N with N = n (1 + decay) / (1 − decay), and smaller terms."""
    features, batch, decay = 60, 100, 0.98
    base = DegenerateGaussian([features], factor=RunningAverageFactor.of_decay(decay), spread_variance=1e-12)
    for _ in range(250):
        base.observe(torch.randn(batch, features))
    moment = base.factor.second_moment
    lost = 0.5 * (torch.linalg.inv(moment).trace() - features + torch.logdet(moment))
    expected = features * (features + 1) / (4 * batch * (1 + decay) / (1 - decay))
    assert abs(float(lost) / expected - 1.0) < 0.2


def test_a_running_average_leaves_out_latents_that_are_not_finite():
    factor = RunningAverageFactor(3)
    factor.observe(torch.randn(5, 3), VARIANCE)
    before = copy.deepcopy(factor.state_dict())
    for bad in (torch.nan, torch.inf):
        z = torch.randn(5, 3)
        z[2, 1] = bad
        factor.observe(z, VARIANCE)
        assert_same_state(factor.state_dict(), before)


def test_a_running_average_keeps_its_digits_in_float32():
    root = random_root(FEATURES, RANK, 1e4)
    base = base_of_kind("RunningAverageFactor", root).float()
    assert base.factor.second_moment.dtype == torch.float64
    torch.testing.assert_close(base.eigh()[0], torch.linalg.svdvals(root @ root.T), rtol=1e-12, atol=1e-10)


def sparse_latents(rows, seed, features=60):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    return noise + 0.5 * torch.nn.functional.pad(noise[:, :-1], (1, 0))


def test_a_shrunk_average_is_the_prior_in_its_density_and_all_that_is_read_off_it():
    shrunk, plain = (
        DegenerateGaussian([60], factor=RunningAverageFactor.of_decay(0.0, shrinkage=shrinkage)).double()
        for shrinkage in (200**-0.5, 0.0)
    )
    for base in (shrunk, plain):
        base.observe(sparse_latents(200, 0))
    assert torch.equal(shrunk.factor.second_moment, plain.factor.second_moment)
    noise = 1e-4 * torch.eye(60).double()
    normal = torch.distributions.MultivariateNormal(torch.zeros(60).double(), shrunk.covariance + noise)
    z = sparse_latents(2000, 1)
    torch.testing.assert_close(shrunk.log_prob(z), normal.log_prob(z), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(shrunk.eigenvalues, torch.linalg.eigvalsh(shrunk.covariance).flip(0))
    assert float(shrunk.log_prob(z).mean() - plain.log_prob(z).mean()) > 3.0
    shrunk.spread_variance = 1e-2
    torch.testing.assert_close(
        shrunk.covariance, shrunk.factor.covariance(shrunk.spread_variance), rtol=1e-6, atol=1e-6
    )


def test_a_shrinkage_travels_with_its_kind_and_older_pickles_have_none():
    base = DegenerateGaussian([3], factor=RunningAverageFactor.of_decay(0.9, lag=0.1, shrinkage=0.2))
    assert base.factor.options() == {"decay": 0.9, "lag": 0.1, "shrinkage": 0.2}
    assert pickle.loads(pickle.dumps(base)).factor.shrinkage == 0.2
    older = RunningAverageFactor(3)
    del older.__dict__["shrinkage"]
    assert pickle.loads(pickle.dumps(older)).shrinkage == 0.0
    with refused(ValueError, "shrinkage must be at least 0 and below 1, got 1.5"):
        RunningAverageFactor(3, shrinkage=1.5)


def test_the_loss_shows_a_running_average_the_latents_of_training_steps_alone():
    flow = coupling_flow(3, layers=2, base=DegenerateGaussian([3], factor=RunningAverageFactor, learn_mean=True))
    base, x = flow._distribution, torch.randn(20, 3)
    with torch.no_grad():
        base.loc.normal_()
    objective, before = SpreadKLLoss(flow), copy.deepcopy(base.factor.state_dict())
    objective.eval()(x)
    with torch.no_grad():
        objective.train()(x)
    flow.log_prob(x)
    assert_same_state(base.factor.state_dict(), before)
    objective(x).backward()
    latents = base.flatten(flow._transform(x)[0]).detach().double()
    torch.testing.assert_close(base.factor.second_moment, 0.5 * torch.eye(3) + 0.5 * latents.T @ latents / 20)
    assert base.loc.grad is not None


def test_the_gradient_through_a_running_average_is_that_of_a_fully_trained_factor():
    """Envelope theorem: for a decay of 0 and no prior weight, that of ½ log det (S + σ_Z² I) in the latents."""
    base = DegenerateGaussian([3], factor=RunningAverageFactor.of_decay(0.0), spread_variance=0.3).double()
    z = torch.randn(50, 3, dtype=torch.float64, requires_grad=True)
    base.factor.assign(torch.eye(3).double(), base.spread_variance)
    base.observe(z)
    (ours,) = torch.autograd.grad(-base.log_prob(z).mean(), z)
    (theirs,) = torch.autograd.grad(0.5 * torch.logdet(z.T @ z / 50 + 0.3 * torch.eye(3)), z)
    torch.testing.assert_close(ours, theirs)


def test_processes_that_train_together_average_their_latents(tmp_path):
    assert_two_processes_observe_as_one(
        DegenerateGaussian([3], factor=RunningAverageFactor), torch.randn(11, 3), tmp_path
    )


def lagging_base(lag, features=5, decay=0.9):
    return DegenerateGaussian([features], factor=RunningAverageFactor.of_decay(decay, lag=lag))


def test_a_lagging_density_is_that_of_the_average_at_the_last_decomposition():
    """With decay 0.9 and lag 0.25 two batches weigh 0.19 and three 0.27: every third step decomposes."""
    base, exact = lagging_base(0.25), lagging_base(0.0)
    z = torch.randn(40, 20, 5, dtype=torch.float64)
    kept = []
    for batch in z:
        for each in (base, exact):
            each.observe(batch)
        kept.append(exact.factor.second_moment.clone())
        at = [torch.allclose(base.log_prob(batch), covariance_density(batch, moment), rtol=1e-12) for moment in kept]
        assert any(at)
    assert any(at[-3:])
    assert torch.equal(base.factor.second_moment, exact.factor.second_moment)
    assert torch.equal(base.eval().log_prob(z[0]), exact.eval().log_prob(z[0]))


def covariance_density(z, moment):
    spread = torch.distributions.MultivariateNormal(z.new_zeros(z.shape[1]), moment + 1e-4 * torch.eye(z.shape[1]))
    return spread.log_prob(z)


def test_a_lagging_density_decomposes_at_each_of_the_first_steps_and_every_few_later(monkeypatch):
    base, count = lagging_base(0.04, decay=0.99), []
    monkeypatch.setattr(
        running_average, "covariance_cholesky", lambda *given: count.append(step) or covariance_cholesky(*given)
    )
    for step in range(300):  # noqa: B007
        base.observe(torch.randn(8, 5))
        base.log_prob(torch.randn(8, 5))
    assert count[:20] == list(range(20))
    assert set(torch.tensor(count[-20:]).diff().tolist()) == {5}


def test_a_lagging_density_follows_assignments_and_the_spread_variance_at_once():
    base, root = lagging_base(0.5), random_root(5)
    z = torch.randn(8, 5, dtype=torch.float64)
    base.log_prob(z)
    base.factor.assign(root, base.spread_variance)
    base.spread_variance = 0.3
    expected = DegenerateGaussian([5], spread_variance=0.3).double()
    expected.factor.assign(root, expected.spread_variance)
    torch.testing.assert_close(base.log_prob(z), expected.log_prob(z), rtol=1e-10, atol=0)


def test_a_density_that_has_lagged_for_no_step_follows_an_assignment_too():
    factor, z = RunningAverageFactor(3, lag=0.9), torch.randn(5, 3, dtype=torch.float64)
    factor.observe(torch.randn(50, 3), VARIANCE)
    root = torch.diag(torch.tensor([3.0, 2.0, 0.5], dtype=torch.float64))
    factor.assign(root, VARIANCE)
    expected = torch.distributions.MultivariateNormal(torch.zeros(3).double(), root.square() + VARIANCE * torch.eye(3))
    torch.testing.assert_close(factor.log_prob(z, VARIANCE), expected.log_prob(z))


@pytest.mark.parametrize("option", ["decay", "lag", "shrinkage"])
@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_options_out_of_range_are_refused_by_name(option, value):
    with refused(ValueError, f"{option} must be at least 0 and below 1", f"got {value}"):
        RunningAverageFactor(3, **{option: value})


def test_a_lagging_density_travels_with_its_state():
    base, fresh = lagging_base(0.5), lagging_base(0.5)
    for _ in range(10):
        base.observe(torch.randn(8, 5))
        base.log_prob(torch.randn(8, 5))
    fresh.load_state_dict(base.state_dict())
    z = torch.randn(8, 5)
    for each in (fresh, copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert torch.equal(each.log_prob(z), base.log_prob(z))
    assert base.double().float().factor.cholesky.dtype == torch.float64
    assert RunningAverageFactor(5, **base.factor.options()).lag == 0.5


@pytest.mark.parametrize("options", [None, {}, {"tied": True}, {"tied": "semi"}])
def test_of_a_step_without_latents_nothing_is_taken(options):
    kind = RunningAverageFactor.of_decay(0.7)
    if options is None:
        base = DegenerateGaussian([3], factor=kind)
    else:
        base = DegenerateGaussianMixture([3], 2, factor=kind, **options)
    base.observe(torch.randn(20, 3, generator=torch.Generator().manual_seed(0)))
    before = copy.deepcopy(base.state_dict())
    base.observe(torch.zeros(0, 3))
    assert_same_state(base.state_dict(), before)


def test_a_process_without_latents_of_a_step_takes_what_the_other_has(tmp_path):
    assert_two_processes_observe_as_one(
        DegenerateGaussian([3], factor=RunningAverageFactor).double(),
        torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        tmp_path,
    )
