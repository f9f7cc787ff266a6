"""Every kind of factor against the dense one, finite differences and autograd; what each does and keeps."""

import copy
import inspect
import math
import pickle

import pytest
import torch

from nflows_spread import DegenerateGaussian, SpreadKLLoss, factors, intrinsic_dimension, linalg
from nflows_spread.factors import (
    KINDS,
    LowerTriangularFactor,
    LowRankFactor,
    RunningAverageFactor,
    SpreadCholeskyFactor,
)
from nflows_spread.models import coupling_flow
from nflows_spread.training import load_model, save_model
from support import assert_same_state, observe_in_two_processes, refused, scipy_log_prob

FEATURES = 6
RANK = 3
FACTORS = {
    "LowerTriangularFactor": LowerTriangularFactor,
    "SpreadCholeskyFactor": SpreadCholeskyFactor,
    "LowRankFactor": LowRankFactor.of_rank(RANK),
    "RunningAverageFactor": RunningAverageFactor,
}

both_ways = pytest.mark.usefixtures("size_of_small_priors")
every_kind = pytest.mark.parametrize("kind", FACTORS)
every_pair = pytest.mark.parametrize(("source", "target"), [(a, b) for a in FACTORS for b in FACTORS])


def random_root(features=FEATURES, rank=RANK, largest=4.0, dtype=torch.float64):
    """R, (D, rank), whose RRᵀ has eigenvalues from the largest down to a tenth of it, along random directions."""
    basis = torch.linalg.qr(torch.randn(features, rank, dtype=torch.float64)).Q
    return (basis * torch.linspace(largest, largest / 10, rank, dtype=torch.float64).sqrt()).to(dtype)


def square(root):
    """R with columns of zeros, (D, D)."""
    return torch.nn.functional.pad(root, (0, len(root) - root.shape[1]))


def base_of_kind(kind, root=None, dtype=torch.float64, **options):
    """A base of the kind with covariance RRᵀ."""
    root = random_root() if root is None else root
    factor = FACTORS[kind] if kind != "LowRankFactor" else LowRankFactor.of_rank(root.shape[1])
    base = DegenerateGaussian([len(root)], factor=factor, **options).to(dtype)
    base.factor.assign(root, base.spread_variance)
    return base


def points_of(base, n=8):
    with torch.no_grad():
        return base.spread(base.sample(n)).requires_grad_()


def test_the_dictionary_of_kinds_is_complete():
    asked = {"log_prob", "matrix", "eigh", "assign", "observe", "options"}
    found = {
        name
        for name, value in vars(factors).items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module) and not name.startswith("_")
    }
    assert found == set(FACTORS) == set(KINDS)
    assert asked == {name for name in vars(factors.Factor) if not name.startswith("_")}
    assert all(hasattr(KINDS[name], method) for name in KINDS for method in asked)


@both_ways
@every_kind
@pytest.mark.parametrize("largest", [0.1, 4.0])
def test_log_prob_and_its_gradient_are_scipys_and_the_dense_kinds(kind, largest):
    root = random_root(largest=largest)
    base, dense = base_of_kind(kind, root), base_of_kind("LowerTriangularFactor", root)
    z = points_of(dense)
    ours, theirs = base.log_prob(z), dense.log_prob(z)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=0)
    expected = torch.from_numpy(scipy_log_prob(z, square(root), 1e-4))
    torch.testing.assert_close(ours.detach(), expected, rtol=1e-10, atol=0)
    mine, other = (torch.autograd.grad(value.sum(), z)[0] for value in (ours, theirs))
    assert (mine - other).norm() <= 1e-10 * other.norm()


@every_kind
def test_a_new_base_is_as_near_to_the_spread_standard_gaussian_as_its_kind_allows(kind):
    base = DegenerateGaussian([FEATURES], factor=FACTORS[kind])
    expected = torch.eye(FEATURES)
    if kind == "LowRankFactor":
        expected[RANK:] = 0.0
    torch.testing.assert_close(base.covariance.detach(), expected)
    z = torch.randn(4, FEATURES)
    expected = torch.from_numpy(scipy_log_prob(z, square(base.factor.matrix(base.spread_variance)), 1e-4))
    torch.testing.assert_close(base.log_prob(z).detach(), expected.float(), rtol=1e-5, atol=0)


def log_prob_of(base):
    """The log-density as a function of the points and the entries."""

    def log_prob(z, *entries):
        if not entries:
            return base.factor.log_prob(z, base.spread_variance)
        return torch.func.functional_call(base.factor, {"entries": entries[0]}, (z, base.spread_variance))

    base.factor.forward = base.factor.log_prob
    return log_prob


def inputs_of(base, n=3):
    entries = getattr(base.factor, "entries", None)
    return (points_of(base, n), *([] if entries is None else [entries.detach().clone().requires_grad_()]))


@both_ways
@every_kind
@pytest.mark.parametrize("rank", [1, RANK])
def test_gradients_and_their_gradients_are_those_of_finite_differences(kind, rank):
    base = base_of_kind(kind, random_root(4, rank), spread_variance=0.3)
    inputs = inputs_of(base)
    assert torch.autograd.gradcheck(log_prob_of(base), inputs)
    assert torch.autograd.gradgradcheck(log_prob_of(base), inputs)


def plain_log_prob(base, z, entries):
    """The same density by [A, σI]ᵀ = QR or the Cholesky factor, with autograd through everything, in float64."""
    spread = base.spread_variance.sqrt()
    if isinstance(base.factor, SpreadCholeskyFactor):
        cholesky = entries.tril(-1) + (entries.diagonal().square() + spread**2).sqrt().diag()
    else:
        a = entries.tril() if isinstance(base.factor, LowerTriangularFactor) else entries
        upper = torch.linalg.qr(torch.cat([a, spread * torch.eye(len(a), dtype=a.dtype)], 1).mT).R
        cholesky = (upper * upper.diagonal().sign().unsqueeze(1)).mT
    whitened = torch.linalg.solve_triangular(cholesky, z.mT, upper=False)
    log_det = cholesky.diagonal().log().sum()
    return -0.5 * whitened.square().sum(0) - log_det - 0.5 * z.shape[1] * math.log(2 * math.pi)


def ridge_log_prob(z, root, spread_variance):
    """The same density for a root of full column rank, (D, r), stable at every scale, with autograd through everything.

    Its quadratic form is the minimum of ‖z − Rx‖² / σ² + ‖x‖² over x.
    """
    gram = root.mT @ root + spread_variance * torch.eye(root.shape[1], dtype=root.dtype)
    x = torch.linalg.solve(gram, root.mT @ z.mT)
    squares = (z.mT - root @ x).square().sum(0) / spread_variance + x.square().sum(0)
    log_det = torch.logdet(gram) + (len(root) - root.shape[1]) * spread_variance.log()
    return -0.5 * (squares + log_det + len(root) * math.log(2 * math.pi))


@both_ways
@pytest.mark.parametrize("kind", ["LowerTriangularFactor", "LowRankFactor"])
@pytest.mark.parametrize("largest", [1.0, 1e3, 1e8, 1e13])
def test_gradients_and_their_gradients_hold_where_the_sum_cannot_be_formed(kind, largest):
    """Rank 3 in 8 or 5 columns: from 1e3 on the forward pass takes QR, at 1e13 the sum knows nothing of σ_Z²."""
    features, rank, columns = 8, 3, {"LowerTriangularFactor": 8, "LowRankFactor": 5}[kind]
    base = base_of_kind(kind, torch.nn.functional.pad(random_root(features, rank, largest), (0, columns - rank)))
    turn, a = torch.eye(columns, dtype=torch.float64), base.factor.entries.detach()
    if kind == "LowRankFactor":
        turn = torch.linalg.qr(torch.randn_like(turn)).Q
        a = (a @ turn).mT
    flattest = torch.linalg.eigvalsh(a @ a.mT + 1e-4 * torch.eye(columns))[0]
    assert ((flattest - 1e-4).abs() > 1e-5) == (largest == 1e13)
    z, entries = inputs_of(base, 5)
    weights, direction = torch.randn(5, dtype=torch.float64), torch.randn(features, rank).double() * largest**0.5
    direction = direction.tril() if kind == "LowerTriangularFactor" else direction
    ours, spread_variance = log_prob_of(base), base.spread_variance
    found = []
    for function in (lambda z, a: ours(z, a @ turn), lambda z, a: ridge_log_prob(z, a[:, :rank], spread_variance)):
        by_z, by_entries = torch.autograd.grad(function(z, entries) @ weights, (z, entries), create_graph=True)
        slope = (by_z * z.detach()).sum() + (by_entries[:, :rank] * direction).sum()
        found.append([by_z, by_entries, *torch.autograd.grad(slope, (z, entries))])
    for mine, other in zip(*found):
        if mine.shape == entries.shape:
            mine, other = mine[:, :rank], other[:, :rank]
            other = other.tril() if kind == "LowerTriangularFactor" else other
        assert (mine - other).norm() <= 1e-5 * other.norm()


@every_kind
@pytest.mark.parametrize(("features", "rank"), [(2, 1), (16, 5), (64, 5), (64, 64)])
def test_float32_loses_less_than_1e_4_at_a_condition_number_of_1e8(kind, features, rank):
    """Against the same parameters and points in float64."""
    if kind == "LowRankFactor" and rank == 64:
        pytest.skip("all columns: the dense case")
    base = base_of_kind(kind, random_root(features, rank, 1e4), torch.float32)
    z = points_of(base, 100)
    entries = list(base.parameters())
    values = base.log_prob(z)
    gradients = torch.autograd.grad(values.mean(), [z, *entries])
    assert values.dtype == torch.float32
    assert {gradient.dtype for gradient in gradients} == {torch.float32}
    exact = copy.deepcopy(base).double()
    z64 = z.detach().double().requires_grad_()
    truth = exact.log_prob(z64) if not entries else plain_log_prob(exact, z64, exact.factor.entries)
    expected = torch.autograd.grad(truth.mean(), [z64, *exact.parameters()])
    torch.testing.assert_close(values.double(), truth, rtol=1e-4, atol=0)
    for gradient, exact_gradient in zip(gradients, expected):
        assert (gradient.double() - exact_gradient).norm() <= 1e-4 * exact_gradient.norm()


@every_kind
def test_large_priors_take_the_blocked_path_to_the_same_numbers(kind):
    """600 features are cut twice; the oracle is autograd through the dense formula."""
    base = base_of_kind(kind, random_root(600, 600, 4.0))
    z, *entries = inputs_of(base, 4)
    ours = log_prob_of(base)(z, *entries)
    if not entries:
        spread = torch.linalg.cholesky(base.covariance + 1e-4 * torch.eye(600))
        theirs = torch.distributions.MultivariateNormal(torch.zeros(600).double(), scale_tril=spread).log_prob(z)
    else:
        theirs = plain_log_prob(base, z, *entries)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=0)
    for mine, other in zip(*(torch.autograd.grad(value.mean(), (z, *entries)) for value in (ours, theirs))):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


@every_kind
def test_eigenvalues_eigenvectors_covariance_and_samples_fit_together(kind, generator):
    root = random_root()
    base = base_of_kind(kind, root)
    values, vectors = base.eigh()
    assert values.shape == (FEATURES,)
    assert values.dtype == vectors.dtype == torch.float64
    assert (values.diff() <= 0).all()
    assert (values[RANK:] < 1e-12).all()
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(FEATURES, dtype=torch.float64))
    torch.testing.assert_close(vectors * values @ vectors.T, root @ root.T)
    torch.testing.assert_close(base.covariance.detach(), root @ root.T)
    assert (vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) > 0).all()
    with torch.no_grad():
        for rank in (None, 1, RANK, FEATURES):
            samples = base.sample(20_000, rank=rank, generator=generator)
            expected = vectors[:, :rank] * values[:rank] @ vectors[:, :rank].T
            assert torch.linalg.matrix_rank(samples, atol=1e-4) == min(rank or RANK, RANK)
            torch.testing.assert_close(samples.T.cov(), expected, rtol=0, atol=0.2)


@every_kind
def test_copies_pickles_and_state_dicts_bring_everything_along(kind):
    base = base_of_kind(kind, learn_mean=True, spread_variance=3e-3)
    fresh = DegenerateGaussian([FEATURES], factor=FACTORS[kind], learn_mean=True).double()
    fresh.load_state_dict(base.state_dict())
    z = points_of(base)
    for twin in (fresh, copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert_same_state(twin.state_dict(), base.state_dict())
        assert torch.equal(twin.log_prob(z), base.log_prob(z))
        assert twin.factor.options() == base.factor.options()


@every_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_densities_and_means_follow_the_dtype(kind, dtype):
    base = DegenerateGaussian([FEATURES], factor=FACTORS[kind]).double().to(dtype)
    assert base.sample(3).dtype == base.sample(3, rank=2).dtype == base.mean().dtype == dtype
    assert base.covariance.dtype == dtype
    assert base.log_prob(torch.zeros(2, FEATURES, dtype=dtype)).dtype == dtype
    assert base.eigenvalues.dtype == torch.float64
    assert base.to("meta").mean().device.type == "meta"


@every_kind
def test_a_saved_flow_comes_back_with_its_kind(kind, tmp_path):
    config = {"features": FEATURES, "layers": 2}
    flow = coupling_flow(**config, base=base_of_kind(kind, dtype=torch.float32))
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=config)
    again = load_model(tmp_path / "flow.pt")
    assert type(again._distribution.factor) is type(flow._distribution.factor)
    x = torch.randn(5, FEATURES)
    assert torch.equal(again.log_prob(x), flow.log_prob(x))


@every_pair
def test_conversion_keeps_the_prior(source, target):
    base = base_of_kind(source, learn_mean=True, spread_variance=2e-3).eval()
    with torch.no_grad():
        base.loc.normal_()
    base.record_data_noise(0.2)
    before, z = copy.deepcopy(base.state_dict()), points_of(base)
    twin = base.with_factor(FACTORS[target])
    assert type(twin.factor).__name__ == target
    assert not twin.training
    assert (twin.data_noise, float(twin.spread_variance)) == (0.2, 2e-3)
    torch.testing.assert_close(twin.log_prob(z), base.log_prob(z), rtol=1e-10, atol=0)
    torch.testing.assert_close(twin.covariance, base.covariance)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    twin.observe(z)
    assert_same_state(base.state_dict(), before)


@every_kind
def test_conversion_to_a_smaller_rank_is_the_best_approximation(kind):
    base = base_of_kind(kind, random_root(FEATURES, FEATURES))
    values, vectors = base.eigh()
    twin = base.with_factor(LowRankFactor.of_rank(2))
    torch.testing.assert_close(twin.covariance.detach(), vectors[:, :2] * values[:2] @ vectors[:, :2].T)


def test_a_spread_cholesky_factor_below_the_floor_is_clipped_when_read_and_not_in_its_density():
    base = DegenerateGaussian([2], factor=SpreadCholeskyFactor, spread_variance=0.1).double()
    with torch.no_grad():
        base.factor.entries.copy_(torch.tensor([[0.0, 9.0], [2.0, 0.0]]))
    cholesky = torch.tensor([[0.1**0.5, 0.0], [2.0, 0.1**0.5]], dtype=torch.float64)
    z = torch.randn(4, 2, dtype=torch.float64)
    expected = torch.distributions.MultivariateNormal(torch.zeros(2).double(), scale_tril=cholesky).log_prob(z)
    torch.testing.assert_close(base.log_prob(z), expected)
    values, vectors = torch.linalg.eigh(cholesky @ cholesky.T - 0.1 * torch.eye(2))
    assert values[0] < 0
    assert base.eigenvalues[1] == 0.0
    torch.testing.assert_close(base.eigenvalues[0], values[1])
    torch.testing.assert_close(base.covariance, values[1] * vectors[:, 1:] @ vectors[:, 1:].T)


@every_kind
def test_a_change_of_the_spread_variance_leaves_the_variances_of_the_prior(kind):
    root = random_root(FEATURES, RANK)
    base = base_of_kind(kind, root, spread_variance=1e-2)
    base.spread_variance = 4e-2
    covariance = (root @ root.T) if kind != "SpreadCholeskyFactor" else spread_cholesky_covariance(base)
    torch.testing.assert_close(covariance.diagonal(), (root @ root.T).diagonal())
    if kind == "SpreadCholeskyFactor":
        assert torch.linalg.matrix_norm(covariance - root @ root.T, 2) <= 2 * 3e-2
        base.factor.assign(root, base.spread_variance)
    torch.testing.assert_close(base.covariance.detach(), root @ root.T)


def spread_cholesky_covariance(base):
    """Σ − σ_Z² I before any clipping."""
    b, spread = base.factor.entries.detach(), base.spread_variance
    cholesky = b.tril(-1) + (b.diagonal().square() + spread).sqrt().diag()
    return cholesky @ cholesky.T - spread * torch.eye(len(b))


def test_the_first_observations_count_alike_and_later_ones_fade():
    factor, decay = RunningAverageFactor(3, decay=0.8), 0.8
    batches = [torch.randn(7, 3, dtype=torch.float64) for _ in range(9)]
    moments = [torch.eye(3).double(), *(z.T @ z / 7 for z in batches)]
    for step, z in enumerate(batches):
        factor.observe(z)
        if step < 4:
            torch.testing.assert_close(factor.second_moment, sum(moments[: step + 2]) / (step + 2))
    expected = sum(moments[:5]) / 5
    for moment in moments[5:]:
        expected = decay * expected + (1 - decay) * moment
    torch.testing.assert_close(factor.second_moment, expected)


def test_a_running_average_leaves_out_latents_that_are_not_finite():
    factor = RunningAverageFactor(3)
    factor.observe(torch.randn(5, 3))
    before = copy.deepcopy(factor.state_dict())
    for bad in (torch.nan, torch.inf):
        z = torch.randn(5, 3)
        z[2, 1] = bad
        factor.observe(z)
        assert_same_state(factor.state_dict(), before)


def test_a_running_average_keeps_its_digits_in_float32():
    root = random_root(FEATURES, RANK, 1e4)
    base = base_of_kind("RunningAverageFactor", root).float()
    assert base.factor.second_moment.dtype == torch.float64
    torch.testing.assert_close(base.eigh()[0], torch.linalg.svdvals(root @ root.T), rtol=1e-12, atol=1e-10)


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
    z, alone = torch.randn(11, 3), RunningAverageFactor(3)
    torch.save(z, tmp_path / "z.pt")
    torch.multiprocessing.spawn(observe_in_two_processes, (str(tmp_path),), nprocs=2)
    alone.observe(z)
    for rank in (0, 1):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), dict(alone.state_dict()))


@every_kind
def test_the_compiled_loss_is_the_loss(kind):
    torch._dynamo.reset()
    objective = SpreadKLLoss(coupling_flow(3, layers=1, base=DegenerateGaussian([3], factor=FACTORS[kind])))
    compiled, x = torch.compile(copy.deepcopy(objective), backend="eager"), torch.randn(10, 3)
    losses = []
    for each in (objective, compiled):
        torch.manual_seed(7)
        losses.append(each(x))
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    for ours, theirs in zip(objective.parameters(), compiled.parameters()):
        torch.testing.assert_close(ours.grad, theirs.grad)


@every_kind
def test_a_small_flow_with_each_kind_finds_the_dimension_of_the_sine_curve(kind):
    factor = LowRankFactor.of_rank(1) if kind == "LowRankFactor" else FACTORS[kind]
    flow = coupling_flow(2, layers=4, base=DegenerateGaussian([2], factor=factor))
    objective = SpreadKLLoss(flow, data_noise=0.3)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for step in range(600):
        objective.data_noise = 0.3 * (0.05 / 0.3) ** (step / 600)
        t = torch.randn(100, 1)
        optimizer.zero_grad()
        loss = objective(torch.cat([t, t.sin()], 1))
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    t = torch.randn(1000, 1)
    assert intrinsic_dimension(flow, torch.cat([t, t.sin()], 1)) == 1


def test_options_out_of_range_are_refused():
    with refused(ValueError, "rank must be between 1 and 4", "got 5"):
        DegenerateGaussian([4], factor=LowRankFactor.of_rank(5))
    with refused(TypeError, "rank must be an integer", "got 2.0"):
        DegenerateGaussian([4], factor=LowRankFactor.of_rank(2.0))
    for decay in (1.0, -0.1, float("nan")):
        with refused(ValueError, "decay must be at least 0 and below 1", f"got {decay}"):
            RunningAverageFactor(4, decay=decay)


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
    decompose = linalg.covariance_cholesky
    monkeypatch.setattr(linalg, "covariance_cholesky", lambda *given: count.append(step) or decompose(*given))
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
