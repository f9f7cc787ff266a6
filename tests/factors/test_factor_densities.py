"""The density of every kind of factor, in value and gradient, against scipy, the dense kind and plain autograd."""

import copy
import math

import pytest
import torch

from factor_kinds import FACTORS, FEATURES, RANK, base_of_kind, every_kind, points_of, random_root
from nflows_spread import DegenerateGaussian
from nflows_spread.factors import LowerTriangularFactor, LowRankPlusDiagonalFactor, SpreadCholeskyFactor
from support import log_prob_by_autograd, scipy_log_prob

both_ways = pytest.mark.usefixtures("size_of_small_priors")


def square(root):
    """R with columns of zeros, (D, D), or as it is where it has more."""
    return torch.nn.functional.pad(root, (0, max(0, len(root) - root.shape[1])))


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


@both_ways
@every_kind
def test_a_gradient_that_is_asked_for_alone_is_the_one_beside_the_others(kind):
    """As where the prior is held while the flow is trained, or the reverse."""
    base = base_of_kind(kind)
    inputs = inputs_of(base)
    together = torch.autograd.grad(log_prob_of(base)(*inputs).sum(), inputs)
    for place, expected in enumerate(together):
        some = [x if i == place else x.detach() for i, x in enumerate(inputs)]
        torch.testing.assert_close(torch.autograd.grad(log_prob_of(base)(*some).sum(), some[place])[0], expected)


def plain_log_prob(base, z, entries):
    """The same density by [A, σI]ᵀ = QR or the Cholesky factor, with autograd through everything, in float64."""
    spread = base.spread_variance.sqrt()
    if isinstance(base.factor, SpreadCholeskyFactor):
        cholesky = entries.tril(-1) + (entries.diagonal().square() + spread**2).sqrt().diag()
    else:
        a = entries.tril() if isinstance(base.factor, LowerTriangularFactor) else entries
        if isinstance(base.factor, LowRankPlusDiagonalFactor):
            a = torch.cat([entries, base.factor.deviations.diag()], 1)
        upper = torch.linalg.qr(torch.cat([a, spread * torch.eye(len(a), dtype=a.dtype)], 1).mT).R
        cholesky = upper.mT
    return log_prob_by_autograd(z, cholesky)


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
