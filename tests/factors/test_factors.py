"""Every kind of factor, all its methods: spectra, copies, files, conversion, options, and training."""

import copy
import inspect
import pickle

import pytest
import torch

from factor_kinds import FACTORS, FEATURES, RANK, base_of_kind, every_kind, points_of, random_root
from nflows_spread import DegenerateGaussian, SpreadKLLoss, factors, intrinsic_dimension
from nflows_spread.factors import KINDS, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from nflows_spread.models import coupling_flow
from support import assert_same_state, refused

every_pair = pytest.mark.parametrize(("source", "target"), [(a, b) for a in FACTORS for b in FACTORS])


def test_the_dictionary_of_kinds_is_complete():
    asked = {"log_prob", "matrix", "eigh", "eigenvalues", "assign", "observe", "options"}
    found = {
        name
        for name, value in vars(factors).items()
        if inspect.isclass(value) and issubclass(value, torch.nn.Module) and not name.startswith("_")
    }
    assert found == set(FACTORS) == set(KINDS)
    assert asked == {name for name in vars(factors.Factor) if not name.startswith("_")}
    assert all(hasattr(KINDS[name], method) for name in KINDS for method in asked)


@every_kind
def test_eigenvalues_eigenvectors_covariance_and_samples_fit_together(kind, generator):
    root = random_root()
    base = base_of_kind(kind, root)
    values, vectors = base.eigh()
    assert values.shape == (FEATURES,)
    assert values.dtype == vectors.dtype == torch.float64
    assert (values.diff() <= 0).all()
    torch.testing.assert_close(base.eigenvalues, values)
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
    for counterpart in (fresh, copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert_same_state(counterpart.state_dict(), base.state_dict())
        assert torch.equal(counterpart.log_prob(z), base.log_prob(z))
        assert counterpart.factor.options() == base.factor.options()


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
    pytest.importorskip("lightning_fabric", reason="needs the extra train")
    from nflows_spread.training import load_model, save_model

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
    base.data_noise = 0.2
    before, z = copy.deepcopy(base.state_dict()), points_of(base)
    counterpart = base.with_factor(FACTORS[target])
    assert type(counterpart.factor).__name__ == target
    assert not counterpart.training
    assert (counterpart.data_noise, float(counterpart.spread_variance)) == (0.2, 2e-3)
    torch.testing.assert_close(counterpart.log_prob(z), base.log_prob(z), rtol=1e-10, atol=0)
    torch.testing.assert_close(counterpart.covariance, base.covariance)
    with torch.no_grad():
        for parameter in counterpart.parameters():
            parameter.zero_()
    counterpart.observe(z)
    assert_same_state(base.state_dict(), before)


@every_kind
@pytest.mark.parametrize("training", [True, False])
def test_a_converted_prior_is_in_the_mode_of_the_first(kind, training):
    counterpart = DegenerateGaussian([FEATURES]).train(training).with_factor(FACTORS[kind])
    assert counterpart.training == counterpart.factor.training == training


@every_kind
def test_conversion_to_a_smaller_rank_is_the_best_approximation(kind):
    base = base_of_kind(kind, random_root(FEATURES, FEATURES))
    values, vectors = base.eigh()
    counterpart = base.with_factor(LowRankFactor.of_rank(2))
    torch.testing.assert_close(counterpart.covariance.detach(), vectors[:, :2] * values[:2] @ vectors[:, :2].T)


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


_COMPILED_ELSEWHERE = {"LowerTriangularFactor", "LowRankFactor"}
"""The first in test_losses.py, as the default; the second is what the one beside a diagonal has, without it."""


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[pytest.mark.slow] * (kind in _COMPILED_ELSEWHERE)) for kind in FACTORS],
)
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
    factor = KINDS[kind].of_rank(1) if "LowRank" in kind else FACTORS[kind]
    flow = coupling_flow(2, layers=4, base=DegenerateGaussian([2], factor=factor))
    objective = SpreadKLLoss(flow, data_noise=0.3)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    for step in range(300):
        objective.data_noise = 0.3 * (0.05 / 0.3) ** (step / 300)
        t = torch.randn(100, 1)
        optimizer.zero_grad()
        loss = objective(torch.cat([t, t.sin()], 1))
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    t = torch.randn(1000, 1)
    found = intrinsic_dimension(flow, torch.cat([t, t.sin()], 1))
    assert (found, found.interval) == (1, (1, 1))  # before the training it is 1 to 2


def test_options_out_of_range_are_refused():
    with refused(ValueError, "rank must be between 1 and 4", "got 5"):
        DegenerateGaussian([4], factor=LowRankFactor.of_rank(5))
    with refused(TypeError, "rank must be an integer", "got 2.0"):
        DegenerateGaussian([4], factor=LowRankFactor.of_rank(2.0))
    for decay in (1.0, -0.1, float("nan")):
        with refused(ValueError, "decay must be at least 0 and below 1", f"got {decay}"):
            RunningAverageFactor(4, decay=decay)


def test_the_entries_of_a_low_rank_factor_and_their_gradients_lie_by_columns():
    base = DegenerateGaussian([40], factor=LowRankFactor.of_rank(3))
    for prior in (base, copy.deepcopy(base).double()):
        entries = prior.factor.entries
        prior.log_prob(torch.randn(5, 40, dtype=entries.dtype)).sum().backward()
        assert entries.mT.is_contiguous()
        assert entries.grad.mT.is_contiguous()
