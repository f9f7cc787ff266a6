"""Priors of any rank and condition: densities by mpmath, samples, read-outs of the covariance, gauges and copies."""

import copy
import math

import mpmath
import torch
from hypothesis import given
from hypothesis import strategies as st

from drawn import SEEDS, magnitudes, normal, rotation, spectra
from factor_kinds import FACTORS
from mixtures import FACTORS as PIECES
from mixtures import covariances_of, means_of, mixture_of
from nflows_spread import DegenerateGaussian
from nflows_spread.factors import KINDS

KIND = st.sampled_from(sorted(FACTORS))
PIECES_OF = st.sampled_from(
    [(kind, tied) for kind in sorted(PIECES) for tied in (False, True) if not (tied and kind == "SpreadCholeskyFactor")]
)
"""The last would have eigenvalues below 0, which its covariance clips; ``test_mixture_densities`` has it."""


def base_of(kind, root, spread_variance):
    """A prior of the kind with AAᵀ = RRᵀ, and RRᵀ as it has it."""
    factor = KINDS[kind].of_rank(max(1, root.shape[1])) if "LowRank" in kind else FACTORS[kind]
    base = DegenerateGaussian([len(root)], factor=factor, spread_variance=spread_variance).double()
    base.factor.assign(root, base.spread_variance)
    return base


def root_of(values, seed):
    """R, (D, D), whose RRᵀ has these eigenvalues."""
    return rotation(seed, len(values)) * values.sqrt()


def mpmath_log_prob(z, spread_covariance):
    """log N(z; 0, Σ) in a hundred digits, of a matrix of mpmath."""
    cholesky = mpmath.cholesky(spread_covariance)
    whitened = mpmath.lu_solve(cholesky, mpmath.matrix(z.tolist()))
    log_det = 2 * mpmath.fsum(mpmath.log(cholesky[i, i]) for i in range(len(z)))
    return -(mpmath.fsum(each**2 for each in whitened) + log_det + len(z) * mpmath.log(2 * mpmath.pi)) / 2


def exact_covariance(base):
    """AAᵀ + σ_Z² I in a hundred digits, of the entries that the factor has."""
    root = mpmath.matrix(base.factor.matrix(base.spread_variance).tolist())
    return root * root.T + mpmath.mpf(float(base.spread_variance)) * mpmath.eye(base.features)


@given(spectra(), SEEDS, magnitudes(-8, 0))
def test_the_density_of_the_papers_factor_is_that_of_a_hundred_digits(values, seed, spread_variance):
    base = base_of("LowerTriangularFactor", root_of(values, seed), spread_variance)
    with torch.no_grad():
        z = base.spread(base.sample(2, generator=torch.Generator().manual_seed(seed)))
    with mpmath.workdps(100), torch.no_grad():
        covariance = exact_covariance(base)
        expected = [mpmath_log_prob(row, covariance) for row in z]
        for found, truth in zip(base.log_prob(z).tolist(), expected):
            assert abs(found - truth) <= 1e-9 * max(1, abs(truth))


@given(KIND, spectra(smallest=-3.0, largest=3.0), SEEDS, magnitudes(-4, 0))
def test_every_kind_has_the_density_of_its_covariance(kind, values, seed, spread_variance):
    base = base_of(kind, root_of(values, seed), spread_variance)
    z = normal(seed + 1, 3, len(values)) * float(values.max().clamp_min(spread_variance).sqrt())
    with mpmath.workdps(60), torch.no_grad():
        covariance = mpmath.matrix(base.covariance.tolist())
        covariance += mpmath.mpf(float(base.spread_variance)) * mpmath.eye(len(values))
        for found, row in zip(base.log_prob(z).tolist(), z):
            truth = mpmath_log_prob(row, covariance)
            assert abs(found - truth) <= 1e-6 * max(1, abs(truth))  # the covariance itself is rounded


@given(KIND, spectra(smallest=-3.0, largest=3.0), SEEDS, magnitudes(-4, 0))
def test_eigenvalues_descend_and_belong_to_the_covariance(kind, values, seed, spread_variance):
    base = base_of(kind, root_of(values, seed), spread_variance)
    with torch.no_grad():
        eigenvalues, vectors, covariance = base.eigenvalues, base.eigenvectors, base.covariance
    assert (eigenvalues.diff() <= 0.0).all()
    largest = float(covariance.diagonal().max().clamp_min(spread_variance))
    torch.testing.assert_close((vectors * eigenvalues) @ vectors.mT, covariance, rtol=0, atol=1e-9 * largest)
    torch.testing.assert_close(vectors.mT @ vectors, torch.eye(len(values)).double(), rtol=0, atol=1e-9)


@given(KIND, spectra(smallest=-2.0, largest=2.0), SEEDS)
def test_samples_have_the_covariance_that_the_prior_claims(kind, values, seed):
    """In each of its directions: m s²/λ is χ² of m degrees of freedom, of mean m and variance 2 m."""
    base, count = base_of(kind, root_of(values, seed), 1e-4), 400
    with torch.no_grad():
        drawn = base.sample(count, generator=torch.Generator().manual_seed(seed)) @ base.eigenvectors
        claimed = base.eigenvalues
    inside = claimed > 1e-9 * claimed.max()
    scores = (drawn[:, inside].square().sum(0) / claimed[inside] - count) / math.sqrt(2.0 * count)
    assert (scores.abs() < 6.0).all()
    assert (drawn[:, ~inside].abs() <= 1e-6 * max(1.0, float(claimed.max()))).all()


@given(KIND, spectra(smallest=-3.0, largest=3.0), SEEDS, st.integers(1, 6))
def test_rows_have_the_same_density_in_any_batch_and_order(kind, values, seed, size):
    base = base_of(kind, root_of(values, seed), 1e-3)
    z = normal(seed + 2, 6, len(values))
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        together = base.log_prob(z)
        apart = torch.cat([base.log_prob(part) for part in z[order].split(size)])
    torch.testing.assert_close(apart, together[order], rtol=1e-12, atol=1e-12)


@given(KIND, spectra(smallest=-3.0, largest=3.0), SEEDS)
def test_a_copy_by_its_state_and_through_float32_is_the_same_prior(kind, values, seed):
    base = base_of(kind, root_of(values, seed), 1e-3)
    z = normal(seed + 2, 4, len(values))
    twin = copy.deepcopy(base).float()
    narrow = copy.deepcopy(twin).double()
    with torch.no_grad():
        once = narrow.log_prob(z)
        assert torch.equal(copy.deepcopy(narrow).float().double().log_prob(z), once)
    other = base_of(kind, root_of(values.flip(0) + 1.0, seed), 1e-3)
    other.load_state_dict(base.state_dict())
    with torch.no_grad():
        assert torch.equal(other.log_prob(z), base.log_prob(z))


@given(PIECES_OF, st.integers(1, 4), st.integers(3, 6), SEEDS, magnitudes(-3, 0))
def test_a_mixture_has_the_density_of_its_pieces(kind_and_tie, pieces, features, seed, spread_variance):
    kind, tied = kind_and_tie
    base = mixture_of(
        kind, features=features, pieces=pieces, tied=tied, rank=1 + seed % 3, seed=seed, spread_variance=spread_variance
    )
    z = 2.0 * normal(seed + 3, 3, features)
    with mpmath.workdps(60), torch.no_grad():
        noise = mpmath.mpf(float(base.spread_variance)) * mpmath.eye(features)
        covariances = [mpmath.matrix(each.tolist()) + noise for each in covariances_of(base)]
        shares = base.responsibilities(z)
        for row, found, share in zip(z, base.log_prob(z).tolist(), shares):
            joint = [
                mpmath.log(weight) + mpmath_log_prob(row - mean, covariance)
                for weight, mean, covariance in zip(base.weights.tolist(), means_of(base), covariances)
            ]
            truth = mpmath.log(mpmath.fsum(map(mpmath.exp, joint)))
            assert abs(found - truth) <= 1e-7 * max(1, abs(truth))
            for own, each in zip(share.tolist(), joint):
                assert abs(own - mpmath.exp(each - truth)) <= 1e-5
    torch.testing.assert_close(shares.sum(1), torch.ones(3).double(), rtol=0, atol=1e-12)
