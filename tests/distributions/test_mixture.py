"""The prior in pieces: samples, moments, one piece, another kind of factor, copies and what is refused."""

import copy
import inspect
import pickle

import pytest
import torch
from nflows.distributions import Distribution, StandardNormal

from mixtures import FACTORS, covariances_of, every_kind, means_of, mixture_of, tied_or_not
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, LowRankPlusDiagonalFactor, RunningAverageFactor
from support import assert_same_state, refused


def assert_moments(samples, mean, covariance):
    """The sample mean and covariance are within five standard errors, of fourth moments up to thrice a Gaussian's."""
    n, variances = len(samples), covariance.diagonal()
    assert ((samples.mean(0) - mean).abs() <= 5 * (variances / n).sqrt() + 1e-12).all()
    error = (3 * (variances.outer(variances) + covariance.square()) / n).sqrt()
    assert ((samples.T.cov() - covariance).abs() <= 5 * error + 1e-12).all()


@every_kind
@tied_or_not
@pytest.mark.parametrize("learn_mean", [True, False])
def test_samples_have_the_mean_and_covariance_of_the_mixture(kind, tied, learn_mean, generator):
    base = mixture_of(kind, tied=tied, learn_mean=learn_mean)
    weights, means = base.weights.detach(), means_of(base)
    mean = weights @ means
    between = (means - mean).mT * weights @ (means - mean)
    covariance = between + (weights.view(-1, 1, 1) * covariances_of(base)).sum(0)
    torch.testing.assert_close(base.mean().detach(), mean)
    torch.testing.assert_close(base.covariance.detach(), covariance)
    with torch.no_grad():
        assert_moments(base.sample(30_000, generator=generator), mean, covariance)
        assert_moments(base.sample(30_000, batch_size=777, generator=generator), mean, covariance)


@every_kind
@tied_or_not
@pytest.mark.parametrize("rank", [None, 1, 2])
def test_samples_of_one_piece_are_its_own_and_lie_in_its_range(kind, tied, rank, generator):
    base = mixture_of(kind, tied=tied)
    piece = base.piece(1)
    with torch.no_grad():
        samples = base.sample(20_000, rank=rank, piece=1, generator=generator)
        values, vectors = piece.eigh()
        kept = 2 if rank is None else rank
        leading = vectors[:, :kept] * values[:kept].sqrt()
        tolerance = 1e-5 * float(samples.norm())
        assert torch.linalg.matrix_rank(samples - piece.mean(), atol=tolerance) == kept
        assert_moments(samples, piece.mean(), leading @ leading.mT)


def test_samples_come_from_the_pieces_by_their_weights(generator):
    base = mixture_of("LowerTriangularFactor", rank=1, largest=1e-4)
    nearest = torch.cdist(base.sample(9_000, rank=1, generator=generator).detach(), means_of(base)).argmin(1)
    shares = torch.bincount(nearest) / 9_000
    torch.testing.assert_close(shares.double(), base.weights.detach(), atol=0.03, rtol=0.0)
    with torch.no_grad():
        base.logits[1] = -torch.inf
    nearest = torch.cdist(base.sample(1_000, generator=generator).detach(), means_of(base)).argmin(1)
    assert set(nearest.tolist()) == {0, 2}


@every_kind
@tied_or_not
def test_a_piece_is_a_prior_of_the_same_density_that_moves_nothing(kind, tied):
    base = mixture_of(kind, tied=tied)
    base.data_noise = 0.2
    before = copy.deepcopy(base.state_dict())
    z = base.spread(base.sample(6)).detach()
    joint = torch.stack([base.piece(m).log_prob(z) for m in range(3)], 1) + base.weights.log()
    torch.testing.assert_close(base.log_prob(z), joint.logsumexp(1), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(base.responsibilities(z), joint.softmax(1), rtol=1e-8, atol=1e-10)
    piece = base.piece(2)
    assert isinstance(piece, DegenerateGaussian)
    assert piece.data_noise == 0.2
    assert float(piece.spread_variance) == float(base.spread_variance)
    with torch.no_grad():
        for parameter in piece.parameters():
            parameter.zero_()
    assert_same_state(base.state_dict(), before)


@every_kind
@tied_or_not
def test_eigenvalues_and_eigenvectors_are_those_of_the_covariance_as_a_whole(kind, tied):
    base = mixture_of(kind, tied=tied)
    values, vectors = base.eigh()
    assert values.dtype == vectors.dtype == torch.float64
    assert (values.diff() <= 0.0).all()
    torch.testing.assert_close(vectors * values @ vectors.mT, base.covariance.detach())
    torch.testing.assert_close(base.eigenvalues, values)
    torch.testing.assert_close(base.eigenvectors, vectors)
    with torch.no_grad():
        base.locs[0] += 1.0  # what is kept of the last decomposition is of no use then
    torch.testing.assert_close(base.eigh()[0], base.eigenvalues)


@pytest.mark.parametrize("other", FACTORS)
@every_kind
@tied_or_not
def test_another_kind_of_factor_keeps_the_pieces(kind, other, tied):
    base = mixture_of(kind, tied=tied)
    before = copy.deepcopy(base.state_dict())
    converted = base.with_factor(FACTORS[other])
    assert type(converted.factors.kind).__name__ == other
    assert_same_state(base.state_dict(), before)
    torch.testing.assert_close(means_of(converted), means_of(base))
    torch.testing.assert_close(converted.weights, base.weights)
    # a spread Cholesky factor's scales are those of conditional variances: the same but for terms of σ_Z²
    same = not tied or kind == other or "SpreadCholeskyFactor" not in (kind, other)
    difference = (covariances_of(converted) - covariances_of(base)).abs().max()
    assert difference <= (1e-9 if same else 10 * float(base.spread_variance))


def test_another_kind_of_lower_rank_takes_the_leading_eigenvectors_of_each_piece():
    base = mixture_of("LowerTriangularFactor", rank=4)
    converted = base.with_factor(LowRankFactor.of_rank(2))
    for m in range(3):
        expected = base.piece(m).eigenvalues
        expected[2:] = 0.0
        torch.testing.assert_close(converted.piece(m).eigenvalues, expected, atol=1e-10, rtol=1e-10)


@every_kind
@tied_or_not
def test_it_starts_near_the_standard_gaussian_with_pieces_that_differ(kind, tied):
    base = DegenerateGaussianMixture([3], 4, factor=FACTORS[kind], tied=tied)
    variances = torch.stack([base.piece(m).eigenvalues for m in range(4)])
    torch.testing.assert_close(
        variances[:, 0].log().diff(), torch.full((3,), 2 / 3, dtype=torch.float64), rtol=1e-3, atol=0
    )
    torch.testing.assert_close(variances[:, 0].log().mean(), torch.zeros((), dtype=torch.float64), rtol=0, atol=1e-4)
    assert torch.equal(base.mean(), torch.zeros(3))
    base.log_prob(torch.randn(50, 3)).mean().backward()
    gradients = torch.stack([parameter.grad.abs().max() for parameter in base.parameters()])
    assert (gradients > 0.0).all()


@pytest.mark.parametrize("batch_size", [None, 1, 4, 100])
def test_shapes_with_and_without_context_are_those_of_the_standard_normal(batch_size):
    ours, theirs, context = DegenerateGaussianMixture((2, 3), 4), StandardNormal((2, 3)), torch.randn(4, 6)
    assert isinstance(ours, Distribution)
    assert ours.sample(10, context, batch_size).shape == (4, 10, 2, 3)
    for given in (None, context):
        assert ours.sample(10, given).shape == theirs.sample(10, given).shape
        assert ours.mean(given).shape == theirs.mean(given).shape
        for mine, other in zip(ours.sample_and_log_prob(10, given), theirs.sample_and_log_prob(10, given)):
            assert mine.shape == other.shape
    assert [part.shape for part in ours(7)] == [(7, 2, 3), (7,)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@tied_or_not
def test_samples_and_densities_follow_the_dtype(dtype, tied):
    base = mixture_of("LowerTriangularFactor", tied=tied, dtype=dtype)
    assert base.sample(3).dtype == base.sample(3, rank=2).dtype == base.mean().dtype == base.covariance.dtype == dtype
    assert base.log_prob(torch.zeros(2, 5, dtype=dtype)).dtype == dtype
    assert base.responsibilities(torch.zeros(2, 5, dtype=dtype)).dtype == base.weights.dtype == torch.float64


@every_kind
@tied_or_not
def test_state_dict_copy_and_pickle_bring_everything_along(kind, tied):
    base = mixture_of(kind, tied=tied, spread_variance=3e-3)
    base.data_noise = 0.05
    base.eigh()
    fresh = DegenerateGaussianMixture([5], 3, factor=FACTORS[kind], tied=tied).double()
    fresh.load_state_dict(base.state_dict())
    z = torch.randn(4, 5, dtype=torch.float64)
    for counterpart in (fresh, copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert_same_state(counterpart.state_dict(), base.state_dict())
        assert torch.equal(counterpart.log_prob(z), base.log_prob(z))
        assert counterpart.data_noise == 0.05
        assert float(counterpart.spread_variance) == 3e-3


def test_a_generator_makes_samples_reproducible():
    base = mixture_of("LowRankFactor")
    one, same, other = (base.sample(9, generator=torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_flatten_and_unflatten_are_inverse_and_take_out_the_mean_of_the_whole():
    base = DegenerateGaussianMixture((2, 3), 2).double()
    with torch.no_grad():
        base.locs.copy_(torch.randn(2, 2, 3))
    z = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(base.flatten(z), (z - base.locs.mean(0)).flatten(1))
    torch.testing.assert_close(base.unflatten(base.flatten(z)), z)


def test_pieces_without_means_take_second_moments():
    base = DegenerateGaussianMixture([3], 2, learn_mean=False).double()
    roots, means = torch.randn(2, 3, 3, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    base.assign(torch.tensor([0.3, 0.7]), means, roots)
    second = torch.einsum("m,mij->ij", base.weights, roots @ roots.mT + means.unsqueeze(2) @ means.unsqueeze(1))
    torch.testing.assert_close(base.covariance.detach(), second.detach())


def test_tied_pieces_take_the_likeliest_common_shape():
    base = mixture_of("LowerTriangularFactor", tied=True)
    roots = torch.randn(3, 5, 6, dtype=torch.float64) * torch.tensor([0.1, 1.0, 4.0]).view(-1, 1, 1)
    base.assign(torch.ones(3), torch.zeros(3, 5), roots)

    def expected_log_prob():
        """Of a point drawn from the piece with this root."""
        parts = zip(covariances_of(base), roots @ roots.mT, strict=True)
        return sum(-torch.logdet(found) - torch.linalg.solve(found, given).trace() for found, given in parts)

    best = expected_log_prob()
    for parameter in (base.factors.log_scales, base.factors.factor.entries):
        with torch.no_grad():
            for change in 0.02 * torch.randn(10, *parameter.shape, dtype=torch.float64):
                parameter.add_(change)
                assert expected_log_prob() < best
                parameter.sub_(change)


def test_options_are_keyword_only():
    parameters = inspect.signature(DegenerateGaussianMixture).parameters.values()
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == ["shape", "pieces"]


def test_what_is_no_mixture_is_refused():
    with refused(ValueError, "pieces must be at least 1, got 0"):
        DegenerateGaussianMixture([2], 0)
    with refused(TypeError, "pieces must be an integer", "got 2.5"):
        DegenerateGaussianMixture([2], 2.5)
    with refused(TypeError, "tied must be True or False, got 1"):
        DegenerateGaussianMixture([2], 2, tied=1)
    with refused(TypeError, "got a LowerTriangularFactor itself; pass its class"):
        DegenerateGaussianMixture([4], 2, factor=LowerTriangularFactor(4))
    with refused(TypeError, "factor of tied pieces must be", "got LowRankPlusDiagonalFactor", "or tied=False"):
        DegenerateGaussianMixture([4], 2, factor=LowRankPlusDiagonalFactor.of_rank(2), tied=True)


@pytest.mark.parametrize("tied", [False, True, "semi"])
def test_roots_and_means_that_do_not_fit_are_refused_before_anything_changes(tied):
    factor = RunningAverageFactor if tied == "semi" else LowRankFactor.of_rank(2)
    base = DegenerateGaussianMixture([2], 3, factor=factor, tied=tied, learn_mean=True)
    weights, means, roots = torch.ones(3), torch.randn(3, 2), torch.randn(3, 2, 2)
    for wrong, words in ((torch.randn(3, 3, 2), "got shape (3, 2)"), (roots * torch.nan, "got 4 values that are not")):
        with refused(ValueError, "roots must be", words, unchanged=base):
            base.assign(weights, means, wrong)
    with refused(ValueError, "means must be a matrix of 2 columns", "(3, 3)", unchanged=base):
        base.assign(weights, torch.randn(3, 3), roots)


def test_what_does_not_fit_the_pieces_is_refused_and_changes_nothing():
    base = mixture_of("LowerTriangularFactor")
    roots, means, weights = torch.randn(3, 5, 2), torch.randn(3, 5), torch.ones(3)
    with refused(ValueError, "weights, means and roots must be 3 each, got (3, 3, 2)", unchanged=base):
        base.assign(weights, means, roots[:2])
    for bad in ([1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [float("nan"), 1.0, 1.0]):
        with refused(ValueError, "weights must be at least 0", str(bad[0]), unchanged=base):
            base.assign(torch.tensor(bad), means, roots)
    for piece in (3, -1):
        with refused(ValueError, "piece must be", f"got {piece}"):
            base.piece(piece)
        with refused(ValueError, "piece must be", f"got {piece}"):
            base.sample(2, piece=piece)
    with refused(ValueError, "rank must be between 1 and 5, got 6"):
        base.sample(2, rank=6)
    with refused(ValueError, "latents must have shape (n, 5), got (4, 3)", "build DegenerateGaussianMixture"):
        base.log_prob(torch.zeros(4, 3))
    with refused(TypeError, "inputs must be of a floating dtype", "torch.int64"):
        base.log_prob(torch.ones(4, 5, dtype=torch.int64))
