"""The degenerate prior: density, samples, spread variance and covariance, against scipy and the standard normal."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from nflows.distributions import Distribution, StandardNormal

from nflows_spread import DegenerateGaussian
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor
from support import assert_same_state, lower_triangular, randomize, refused, scipy_log_prob

SHAPES = [(3,), (2, 3), (2, 2, 2)]


def trained(shape=(5,), rank=None, scale=1.0, dtype=torch.float64, **options):
    """A base with a random factor of the given rank, and a random mean if it has one."""
    base = randomize(DegenerateGaussian(shape, **options)).to(dtype)
    rank = base.features if rank is None else rank
    with torch.no_grad():
        base.factor.entries.copy_(lower_triangular(base.features, rank, scale))
    return base


def assert_moments(samples, mean, covariance):
    """The sample mean and covariance are within five standard errors."""
    n, variances = len(samples), covariance.diagonal()
    assert ((samples.mean(0) - mean).abs() <= 5 * (variances / n).sqrt() + 1e-12).all()
    error = ((variances.outer(variances) + covariance.square()) / n).sqrt()
    assert ((samples.T.cov() - covariance).abs() <= 5 * error + 1e-12).all()


def test_it_starts_as_the_spread_standard_gaussian():
    base = DegenerateGaussian([4]).double()
    z = torch.randn(6, 4, dtype=torch.float64)
    scale = torch.tensor(1.0 + 1e-4, dtype=torch.float64).sqrt()
    expected = torch.distributions.Normal(torch.zeros_like(scale), scale).log_prob(z).sum(1)
    assert isinstance(base, Distribution)
    assert float(base.spread_variance) == 1e-4
    torch.testing.assert_close(base.log_prob(z), expected, rtol=1e-12, atol=0)
    assert torch.equal(base.covariance, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("learn_mean", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_log_prob_is_scipys_on_the_flattened_latent(shape, learn_mean):
    base = trained(shape, rank=2, learn_mean=learn_mean)
    z = base.sample(7).detach() + 0.01 * torch.randn(7, *shape, dtype=torch.float64)
    centred = (z - base.mean().detach()).flatten(1)
    expected = scipy_log_prob(centred, base.factor.matrix(base.spread_variance), 1e-4)
    np.testing.assert_allclose(base.log_prob(z).detach().numpy(), expected, rtol=1e-10, atol=1e-11)
    assert torch.equal(base.log_prob(z, context=torch.randn(7, 2)), base.log_prob(z))


def test_gradients_reach_the_triangle_and_the_mean_and_nothing_else():
    base = trained((4,), learn_mean=True)
    base.log_prob(torch.randn(5, 4, dtype=torch.float64)).sum().backward()
    assert {name for name, _ in base.named_parameters()} == {"factor.entries", "loc"}
    assert torch.equal(base.factor.entries.grad, base.factor.entries.grad.tril())
    assert (base.factor.entries.grad.tril() != 0).sum() == 10
    assert (base.loc.grad != 0).all()


@pytest.mark.parametrize("rank", [5, 2])
def test_samples_have_the_mean_and_covariance_of_the_degenerate_prior(rank, generator):
    base = trained(rank=rank, learn_mean=True)
    with torch.no_grad():
        assert_moments(base.sample(20_000, generator=generator), base.mean(), base.covariance)


@pytest.mark.parametrize("rank", [1, 2, 4])
def test_samples_of_a_given_rank_have_exactly_that_rank_and_the_leading_covariance(rank, generator):
    base = trained(learn_mean=True)
    with torch.no_grad():
        samples = base.sample(20_000, rank=rank, generator=generator)
        leading = base.eigenvectors[:, :rank]
        assert torch.linalg.matrix_rank(samples - base.mean()) == rank
        assert_moments(samples, base.mean(), leading * base.eigenvalues[:rank] @ leading.T)


def test_samples_of_a_degenerate_factor_lie_in_its_range():
    base = trained(rank=2)
    samples = base.sample(100).detach()
    assert torch.linalg.matrix_rank(samples) == 2
    torch.testing.assert_close(samples, samples @ base.eigenvectors[:, :2] @ base.eigenvectors[:, :2].T)


@pytest.mark.parametrize("batch_size", [None, 1, 3, 4, 100])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_with_and_without_context_are_those_of_the_standard_normal(shape, batch_size):
    ours, theirs = DegenerateGaussian(shape), StandardNormal(shape)
    context = torch.randn(4, 6)
    assert ours.sample(10, batch_size=batch_size).shape == theirs.sample(10, batch_size=batch_size).shape
    assert ours.sample(10, context, batch_size).shape == (4, 10, *shape)
    for given in (None, context):
        assert ours.sample(10, given).shape == theirs.sample(10, given).shape
        assert ours.mean(given).shape == theirs.mean(given).shape
        for mine, other in zip(ours.sample_and_log_prob(10, given), theirs.sample_and_log_prob(10, given)):
            assert mine.shape == other.shape


def test_batches_draw_from_the_same_law(generator):
    base = trained()
    with torch.no_grad():
        assert_moments(base.sample(20_000, batch_size=333, generator=generator), base.mean(), base.covariance)


def test_sample_and_log_prob_agrees_with_log_prob():
    base = trained(rank=2)
    samples, log_prob = base.sample_and_log_prob(6, context=torch.randn(3, 1))
    torch.testing.assert_close(log_prob.flatten(), base.log_prob(samples.flatten(0, 1)))


def test_a_generator_makes_samples_and_spread_reproducible():
    base, z = trained(), torch.zeros(9, 5)

    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return base.sample(9, generator=generator), base.spread(z, generator=generator)

    for first, same, other in zip(drawn(1), drawn(1), drawn(2)):
        assert torch.equal(first, same)
        assert not torch.equal(first, other)


def test_spread_adds_independent_noise_of_the_spread_variance(generator):
    base = DegenerateGaussian([2, 2], spread_variance=0.04)
    z = torch.ones(20_000, 2, 2)
    spread = base.spread(z, generator=generator)
    assert spread.dtype == z.dtype
    assert_moments(spread.flatten(1), torch.ones(4), 0.04 * torch.eye(4))


def test_covariance_eigenvalues_and_eigenvectors_fit_together():
    base = trained((2, 3), rank=4)
    values, vectors = base.eigenvalues, base.eigenvectors
    assert (values.diff() <= 0).all()
    assert values.shape == (6,)
    torch.testing.assert_close(vectors.T @ vectors, torch.eye(6, dtype=torch.float64))
    torch.testing.assert_close(vectors * values @ vectors.T, base.covariance)
    torch.testing.assert_close(base.covariance, base.factor.entries.tril() @ base.factor.entries.tril().T)
    assert base.covariance.requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_and_log_prob_follow_the_dtype(dtype):
    base = trained(dtype=dtype, learn_mean=True)
    assert base.sample(3).dtype == base.sample(3, rank=2).dtype == base.mean().dtype == dtype
    assert base.log_prob(torch.zeros(2, 5, dtype=dtype)).dtype == dtype
    assert base.eigenvalues.dtype == torch.float64


def test_samples_follow_the_device():
    assert DegenerateGaussian([3], learn_mean=True).to("meta").sample(4).device.type == "meta"


def test_the_spread_is_set_by_its_variance_or_by_its_standard_deviation():
    base = DegenerateGaussian([2], spread_std=0.03)
    assert float(base.spread_variance) == 0.03**2
    torch.testing.assert_close(float(base.spread_std), 0.03)
    base.spread_std = 0.5
    assert float(base.spread_variance) == 0.25
    base.spread_variance = 0.04
    assert float(base.spread_std) == 0.2
    assert float(DegenerateGaussian([2]).spread_variance) == 1e-4


def test_double_finds_the_spread_variance_that_was_set():
    assert float(DegenerateGaussian([2], spread_variance=1e-5).double().spread_variance) == 1e-5


@pytest.mark.parametrize("learn_mean", [False, True])
def test_state_dict_copy_and_pickle_bring_everything_along(learn_mean):
    base = trained(learn_mean=learn_mean, spread_variance=3e-3)
    base.data_noise = 0.05
    fresh = DegenerateGaussian([5], learn_mean=learn_mean).double()
    assert fresh.data_noise is None
    fresh.load_state_dict(base.state_dict())
    z = torch.randn(4, 5, dtype=torch.float64)
    for counterpart in (fresh, copy.deepcopy(base), pickle.loads(pickle.dumps(base))):
        assert_same_state(counterpart.state_dict(), base.state_dict())
        assert torch.equal(counterpart.log_prob(z), base.log_prob(z))
        assert counterpart.data_noise == 0.05
        assert float(counterpart.spread_variance) == 3e-3


def test_the_spread_variance_is_no_parameter_and_can_be_assigned():
    base = DegenerateGaussian([2])
    assert not base.spread_variance.requires_grad
    base.spread_variance = 0.5
    torch.testing.assert_close(base.log_prob(torch.zeros(1, 2)), torch.tensor([-np.log(2 * np.pi * 1.5)]).float())


def test_flatten_and_unflatten_are_inverse_and_take_out_the_mean():
    base = trained((2, 3), learn_mean=True)
    z = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(base.flatten(z), (z - base.loc).flatten(1))
    torch.testing.assert_close(base.unflatten(base.flatten(z)), z)


def test_another_factor_takes_the_place_of_the_dense_one():
    class Isotropic(torch.nn.Module):
        def __init__(self, features):
            super().__init__()
            self.features, self.scale = features, torch.nn.Parameter(torch.tensor(2.0))

        def matrix(self, spread_variance):
            return self.scale * torch.eye(self.features)

        def log_prob(self, z, spread_variance):
            return torch.distributions.Normal(0.0, (self.scale**2 + spread_variance).sqrt()).log_prob(z).sum(1)

        def eigh(self, spread_variance):
            return self.eigenvalues(spread_variance), torch.eye(self.features).double()

        def eigenvalues(self, spread_variance):
            return self.scale.detach().double().square().expand(self.features)

    base = DegenerateGaussian([3], factor=Isotropic)
    z = torch.randn(4, 3)
    expected = torch.distributions.Normal(0.0, (4.0 + 1e-4) ** 0.5).log_prob(z).sum(1)
    torch.testing.assert_close(base.log_prob(z), expected, check_dtype=False)
    assert base.sample(5, rank=2).shape == (5, 3)
    assert torch.equal(base.eigenvalues, torch.full((3,), 4.0, dtype=torch.float64))


def test_signature_keeps_options_keyword_only():
    parameters = inspect.signature(DegenerateGaussian).parameters.values()
    assert [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY] == ["shape"]


@pytest.mark.parametrize("size", [1, 4, np.int64(3)])
def test_a_number_is_the_shape_of_one_feature_axis_as_in_normflows(size):
    normflows = pytest.importorskip("normflows", reason="needs the extra normflows")
    ours, theirs = DegenerateGaussian(size), normflows.distributions.DiagGaussian(int(size))
    assert ours.shape == theirs.shape == (size,)
    assert ours.sample(5).shape == theirs.sample(5).shape


@pytest.mark.parametrize("shape", [True, 2.5, "ab", None, torch.tensor(3), np.array([2, 3]), [2.5], [True]], ids=repr)
def test_what_is_neither_a_size_nor_sizes_is_no_shape(shape):
    with refused(TypeError, "shape must be"):
        DegenerateGaussian(shape)


@pytest.mark.parametrize("context", [None, torch.zeros(3, 1)])
def test_the_mean_and_the_matrix_that_are_handed_out_are_copies_with_a_gradient(context):
    base = trained(learn_mean=True)
    before = copy.deepcopy(base.state_dict())
    mean, low_rank = base.mean(context), base.with_factor(LowRankFactor.of_rank(2))
    root = low_rank.factor.matrix(low_rank.spread_variance)
    entries = low_rank.factor.entries.detach().clone()
    assert mean.requires_grad
    assert root.requires_grad
    with torch.no_grad():
        mean.zero_()
        root.zero_()
    assert_same_state(base.state_dict(), before)
    assert torch.equal(low_rank.factor.entries, entries)
    base.mean(context).sum().backward()
    assert torch.equal(base.loc.grad, torch.full_like(base.loc, 1.0 if context is None else 3.0))


def test_a_factor_that_is_built_already_is_refused():
    with refused(TypeError, "got a LowerTriangularFactor itself; pass its class"):
        DegenerateGaussian([4], factor=LowerTriangularFactor(4))


def test_the_sampler_of_nflows_finds_what_it_asks_of_a_distribution():
    base = DegenerateGaussian([3])
    assert Distribution.sample(base, 7, batch_size=4).shape == (7, 3)
    assert Distribution.sample(base, 2, context=torch.zeros(5, 1)).shape == (5, 2, 3)
