"""Semi-tied pieces: one unit triangle, variances of each piece's own, against torch.distributions, mpmath and EM."""

import copy
import pickle
from itertools import pairwise

import mpmath
import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mixtures import covariances_of, means_of
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss, base_of
from nflows_spread.factors import LowerTriangularFactor, RunningAverageFactor
from nflows_spread.models import coupling_flow
from support import assert_same_state, assert_two_processes_observe_as_one, refused

FEATURES, PIECES = 12, 3
TRIANGLE = torch.eye(FEATURES).double() + 0.5 * torch.randn(
    FEATURES, FEATURES, generator=torch.Generator().manual_seed(1), dtype=torch.float64
).tril(-1)
UP = torch.logspace(-2, 0, FEATURES).double()
VARIANCES = torch.stack([9.0 * UP, UP.flip(0), torch.full_like(UP, 0.05)])


def latents(rows, seed=0, offset=0.0, noise=0.0):
    """T √v ε of one of three pieces, which are equally frequent."""
    generator = torch.Generator().manual_seed(seed)
    own = VARIANCES[torch.randint(PIECES, (rows,), generator=generator)]
    z = (own.sqrt() * torch.randn(rows, FEATURES, generator=generator).double()) @ TRIANGLE.mT + offset
    return z + noise * torch.randn(rows, FEATURES, generator=generator).double()


def mixture(decay=0.98, lag=0.0, learn_mean=False, pieces=PIECES, shrinkage=0.0, **options):
    kind = RunningAverageFactor.of_decay(decay, lag=lag, shrinkage=shrinkage)
    base = DegenerateGaussianMixture(
        [FEATURES], pieces, factor=kind, tied="semi", learn_mean=learn_mean, **{"spread_variance": 1e-6} | options
    )
    return base.double()


def known(means=None, **options):
    """The pieces of ``latents``, taken on."""
    base = mixture(learn_mean=means is not None, **options)
    means = torch.zeros(PIECES, FEATURES).double() if means is None else means
    base.assign(torch.ones(PIECES), means, TRIANGLE * VARIANCES.sqrt().unsqueeze(1))
    return base


def truth(noise=0.0):
    covariances = (TRIANGLE * VARIANCES.unsqueeze(1)) @ TRIANGLE.mT + noise * torch.eye(FEATURES).double()
    normal = MultivariateNormal(torch.zeros(PIECES, FEATURES).double(), covariances)
    return MixtureSameFamily(Categorical(torch.ones(PIECES).double()), normal)


def test_pieces_of_one_triangle_are_taken_on_as_they_are():
    base = known(spread_variance=1e-12)
    expected = (TRIANGLE * VARIANCES.unsqueeze(1)) @ TRIANGLE.mT
    torch.testing.assert_close(covariances_of(base), expected, rtol=1e-8, atol=1e-8)
    z = latents(30)
    torch.testing.assert_close(base.log_prob(z), truth(1e-12).log_prob(z), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("means", [None, torch.randn(PIECES, FEATURES, dtype=torch.float64)], ids=["about 0", "means"])
@pytest.mark.parametrize("spread_variance", [1e-6, 1e-2])
def test_the_density_and_its_gradient_are_those_of_torch_distributions(means, spread_variance):
    base = known(means=means, spread_variance=spread_variance)
    factors = [base.factors.factor_of(m, base.spread_variance) for m in range(PIECES)]
    noise = spread_variance * torch.eye(FEATURES).double()
    normal = MultivariateNormal(means_of(base), torch.stack([factor.second_moment for factor in factors]) + noise)
    expected = MixtureSameFamily(Categorical(base.weights.detach()), normal)
    z = latents(30).requires_grad_()
    torch.testing.assert_close(base.log_prob(z), expected.log_prob(z), rtol=1e-10, atol=1e-10)
    mine, other = (torch.autograd.grad(value.log_prob(z).sum(), z)[0] for value in (base, expected))
    assert (mine - other).norm() <= 1e-10 * other.norm()
    each = torch.stack([base.piece(m).log_prob(z) for m in range(PIECES)], 1)
    torch.testing.assert_close(each, normal.log_prob(z.unsqueeze(1)), rtol=1e-10, atol=1e-10)
    given = base.responsibilities(z)
    torch.testing.assert_close(given, (each + base.weights.log()).softmax(1), rtol=1e-9, atol=1e-12)


def exact_log_prob(base, z):
    """log Σ_m w_m N(z; 0, T diag(v_m) Tᵀ) at 60 digits, from L and v as they are."""
    with mpmath.workdps(60):
        cholesky = base.factors.kind.cholesky_of_density(z, base.spread_variance)
        triangle = mpmath.matrix(cholesky.tolist())
        for j in range(FEATURES):
            pivot = triangle[j, j]
            for i in range(FEATURES):
                triangle[i, j] /= pivot
        x = mpmath.lu_solve(triangle, mpmath.matrix(z.tolist()))
        total = mpmath.mpf(0)
        for weight, excess in zip(base.weights.tolist(), base.factors.excess.tolist(), strict=True):
            density = mpmath.mpf(weight)
            for value, own in zip(x, excess, strict=True):
                v = mpmath.mpf(own) + mpmath.mpf(float(base.spread_variance))
                density *= mpmath.exp(-value * value / (2 * v)) / mpmath.sqrt(2 * mpmath.pi * v)
            total += density
        return float(mpmath.log(total))


def flat_pieces(spread_variance=1e-8):
    """Pieces of ranks 1, 2 and 4 in one subspace."""
    base, roots = mixture(spread_variance=spread_variance), []
    for rank in (1, 2, 4):
        roots.append(TRIANGLE[:, :rank] * torch.linspace(1.0, 0.5, rank).double())
    base.assign(torch.tensor([1.0, 2.0, 3.0]), torch.zeros(PIECES, FEATURES).double(), roots)
    return base


def test_pieces_of_lower_rank_have_the_density_of_mpmath_and_their_own_ranks():
    base = flat_pieces()
    z = base.spread(torch.cat([base.sample(2, piece=m) for m in range(PIECES)]))
    for point, value in zip(z, base.log_prob(z).tolist(), strict=True):
        assert value == pytest.approx(exact_log_prob(base, point), rel=1e-10)
    ranks = [int((base.piece(m).eigenvalues > 1e-4).sum()) for m in range(PIECES)]
    assert ranks == [1, 2, 4]


def test_a_piece_of_weight_0_has_no_part_and_is_not_moved():
    base = known()
    base.assign(torch.tensor([1.0, 0.0, 1.0]), torch.zeros(PIECES, FEATURES), TRIANGLE * VARIANCES.sqrt().unsqueeze(1))
    z, before = latents(40), base.factors.excess[1].clone()
    expected = torch.stack([base.piece(m).log_prob(z) for m in (0, 2)], 1).logsumexp(1) - torch.tensor(2.0).log()
    torch.testing.assert_close(base.log_prob(z), expected)
    base.observe(z)
    assert float(base.weights[1]) == 0.0
    assert torch.equal(base.factors.excess[1], before)
    assert torch.isfinite(base.log_prob(z)).all()


def test_equal_pieces_are_one_gaussian_and_so_is_one_piece():
    base = mixture()
    base.assign(torch.ones(PIECES), torch.zeros(PIECES, FEATURES), [TRIANGLE] * PIECES)
    single = DegenerateGaussian([FEATURES], factor=RunningAverageFactor, spread_variance=1e-6).double()
    single.factor.assign(TRIANGLE, single.spread_variance)
    one, z = mixture(pieces=1), latents(20)
    one.assign(torch.ones(1), torch.zeros(1, FEATURES), [TRIANGLE])
    for prior in (base, one):
        torch.testing.assert_close(prior.log_prob(z), single.log_prob(z), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(prior.covariance, single.covariance, rtol=1e-10, atol=1e-10)


def test_densities_can_be_mapped_and_differentiated_twice():
    base, z = known(), latents(4).requires_grad_()
    expected = torch.autograd.grad(base.log_prob(z).sum(), z)[0]
    one = torch.func.grad(lambda point: base.log_prob(point.unsqueeze(0))[0])
    torch.testing.assert_close(torch.func.vmap(one)(z.detach()), expected, rtol=1e-6, atol=1e-8)
    assert torch.autograd.gradgradcheck(base.log_prob, z[:1].detach().requires_grad_())


@pytest.mark.parametrize("learn_mean", [True, False])
@torch.no_grad()
def test_with_a_decay_of_0_each_batch_is_a_step_of_expectation_maximisation(learn_mean):
    base, z = known(decay=0.0, means=torch.zeros(PIECES, FEATURES).double() if learn_mean else None), latents(400)
    for _ in range(3):
        given, cholesky = base.responsibilities(z), base.factors.kind.cholesky_of_density(z, base.spread_variance)
        triangle = cholesky / cholesky.diagonal()
        base.observe(z)
        torch.testing.assert_close(base.weights, given.mean(0))
        if learn_mean:
            torch.testing.assert_close(means_of(base), given.mT @ z / given.sum(0).unsqueeze(1))
        x = torch.linalg.solve_triangular(triangle, (z.unsqueeze(0) - means_of(base).unsqueeze(1)).mT, upper=False).mT
        variances = torch.einsum("nm,mnk->mk", given, x.square()) / given.sum(0).unsqueeze(1)
        torch.testing.assert_close(base.factors.excess, variances, rtol=1e-4, atol=2e-5)  # which is without σ_Z²


@torch.no_grad()
def test_batches_lead_to_the_pieces_of_the_latents_and_a_likelihood_that_scales_alone_do_not_reach():
    base = mixture(decay=0.99)
    tied = DegenerateGaussianMixture(
        [FEATURES], 8, factor=RunningAverageFactor.of_decay(0.99), tied=True, learn_mean=False, spread_variance=1e-6
    ).double()
    y, reached = latents(10_000, seed=5), []
    for prior in (base, tied):
        prior.fit_pieces(latents(2000, seed=1))
    for seed in range(300):
        for prior in (base, tied):
            prior.observe(latents(200, seed=seed + 10))
        reached.append(float(base.log_prob(y).mean()))
    best = float(truth().log_prob(y).mean())
    assert best - reached[-1] < 0.05
    assert best - float(tied.log_prob(y).mean()) > 0.5
    covariance = (TRIANGLE * VARIANCES.mean(0)) @ TRIANGLE.mT
    assert float((base.covariance - covariance).norm() / covariance.norm()) < 0.05
    assert all(after > before - 0.05 for before, after in pairwise(reached))


@pytest.mark.parametrize("lag", [0.0, 0.1])
@torch.no_grad()
def test_the_spread_noise_that_is_added_has_the_variances_of_noise_that_is_seen(lag):
    """In the coordinates of the triangle they are those of rows of T⁻¹, for dependent features far above σ_Z²."""
    base = known(decay=0.99, lag=lag, spread_variance=0.05)
    seeing = known(decay=0.99, lag=lag)
    for seed in range(300):
        base.observe(latents(300, seed=seed + 10))
        seeing.observe(latents(300, seed=seed + 10, noise=0.05**0.5))
    noisy = latents(20_000, seed=5, noise=0.05**0.5)
    assert float(seeing.log_prob(noisy).mean() - base.log_prob(noisy).mean()) < 0.05


def test_latents_that_are_not_finite_are_left_out_and_a_lag_decomposes_when_it_must():
    base = known(lag=0.2)
    before, z = copy.deepcopy(base.state_dict()), latents(60)
    z[3, 1] = torch.nan
    base.observe(z)
    assert_same_state(base.state_dict(), before)
    for seed in range(40):
        base.observe(latents(60, seed))
    exact = copy.deepcopy(base).eval()
    torch.testing.assert_close(base.log_prob(latents(9)), exact.log_prob(latents(9)), rtol=0.1, atol=0.1)
    assert not torch.equal(base.log_prob(latents(9)), exact.log_prob(latents(9)))


@torch.no_grad()
def test_samples_have_the_covariance_of_their_piece_and_lie_in_its_leading_directions():
    base = known().float()
    generator = torch.Generator().manual_seed(0)
    for piece, covariance in enumerate(covariances_of(base)):
        drawn = base.sample(20_000, piece=piece, generator=generator)
        assert drawn.dtype == torch.float32
        assert float((drawn.double().mT.cov() - covariance).norm() / covariance.norm()) < 0.05
        flat = base.sample(200, piece=piece, rank=4, generator=generator).double()
        outside = torch.linalg.eigh(covariance)[1][:, :-4]
        assert float((flat @ outside).norm() / flat.norm()) < 1e-4
    whole = base.sample(50_000, generator=generator).double()
    assert float((whole.mT.cov() - base.covariance).norm() / base.covariance.norm()) < 0.05


@pytest.mark.parametrize("tied", [False, True, "semi"])
def test_what_was_decomposed_is_not_taken_for_other_pieces_of_the_same_weights(tied):
    kind = RunningAverageFactor.of_decay(0.9)
    base = DegenerateGaussianMixture([FEATURES], PIECES, factor=kind, tied=tied, learn_mean=False).double()
    for scale in (1.0, 3.0):
        base.assign(torch.ones(PIECES), torch.zeros(PIECES, FEATURES), [scale * TRIANGLE] * PIECES)
        torch.testing.assert_close(base.eigh()[0], torch.linalg.eigvalsh(base.covariance).flip(0))


def test_another_decay_keeps_the_pieces_and_other_kinds_are_refused():
    base, z = known(), latents(9)
    other = base.with_factor(RunningAverageFactor.of_decay(0.5, lag=0.1))
    torch.testing.assert_close(other.log_prob(z), base.log_prob(z), rtol=1e-8, atol=1e-8)
    with refused(TypeError, "factor of semi-tied pieces must be a RunningAverageFactor, got LowerTriangularFactor"):
        base.with_factor(LowerTriangularFactor)
    with refused(ValueError, 'tied must be True, False or "semi", got "basis"'):
        DegenerateGaussianMixture([2], 2, tied="basis")


def test_scales_become_pieces_of_the_same_density():
    kind = RunningAverageFactor.of_decay(0.9)
    tied = DegenerateGaussianMixture([FEATURES], PIECES, factor=kind, tied=True, learn_mean=False).double()
    tied.fit_pieces(latents(400))
    base = mixture(spread_variance=1e-4)
    with torch.no_grad():
        base.logits.copy_(tied.logits)
    base.factors.take_over(tied.factors, base.spread_variance)
    torch.testing.assert_close(base.log_prob(latents(9)), tied.log_prob(latents(9)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 0.05])
def test_the_loss_shows_it_the_latents_and_a_saved_flow_comes_back_bit_for_bit(shrinkage, tmp_path):
    pytest.importorskip("lightning_fabric", reason="needs the extra train")
    from nflows_spread.training import load_model, save_model

    base = mixture(lag=0.1, shrinkage=shrinkage).float()
    flow, config = coupling_flow(FEATURES, layers=2, base=base), {"features": FEATURES, "layers": 2}
    assert not any(parameter.requires_grad for parameter in base_of(flow).parameters())
    objective, before, x = SpreadKLLoss(flow, data_noise=0.1), base.factors.excess.clone(), latents(50).float()
    for _ in range(5):
        objective(x).backward()
    assert not torch.equal(base.factors.excess, before)
    assert torch.equal(pickle.loads(pickle.dumps(base)).log_prob(x), base.log_prob(x))
    save_model(tmp_path / "flow.pt", flow.eval(), build=coupling_flow, config=config)
    again = load_model(tmp_path / "flow.pt")
    assert base_of(again).tied == "semi"
    assert torch.equal(again.log_prob(x), flow.log_prob(x))


def test_processes_that_train_together_average_their_latents(tmp_path):
    means = torch.randn(PIECES, FEATURES, dtype=torch.float64)
    assert_two_processes_observe_as_one(known(means=means), latents(11), tmp_path)


def test_restarts_give_a_piece_the_likeliest_variances_with_the_triangle_as_it_is():
    base = known(spread_variance=1e-12)
    before = base.factors.excess.clone()
    base.factors.assign_piece(0, TRIANGLE * 2.0, base.spread_variance)
    torch.testing.assert_close(base.piece(0).covariance, 4.0 * TRIANGLE @ TRIANGLE.mT, rtol=1e-6, atol=1e-6)
    assert torch.equal(base.factors.excess[1:], before[1:])
