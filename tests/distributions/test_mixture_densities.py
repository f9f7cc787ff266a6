"""Densities of mixtures of every kind of factor against ``torch.distributions`` and mpmath, in value and gradient."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from mixtures import covariances_of, every_kind, means_of, mixture_of, tied_or_not
from nflows_spread import DegenerateGaussian
from nflows_spread.factors import LowerTriangularFactor, SpreadCholeskyFactor, separate_pieces
from nflows_spread.linalg import few_features, squares
from nflows_spread.linalg.cholesky import spread_cholesky_of


@pytest.fixture(params=["as it is", "one by one", "exact"])
def arithmetic(request, monkeypatch):
    """Each way to compute the same numbers: batched, piece by piece, and without products that could cancel."""
    if request.param == "one by one":
        monkeypatch.setattr(separate_pieces, "_MOST_FEATURES_TOGETHER", 0)
        monkeypatch.setattr(separate_pieces, "SMALL", 0)
    if request.param == "exact":
        monkeypatch.setattr(squares, "_LARGEST_SQUARE", 0.0)
        monkeypatch.setattr("nflows_spread.linalg.pieces.SMALL", 0)


def spread_roots_of(base):
    """The Cholesky factors of the spread covariances, (M, D, D), of ``torch.linalg`` where the kind has none."""
    noise = base.spread_variance
    factors = [base.factors.factor_of(m, noise) for m in range(base.pieces)]
    if isinstance(factors[0], SpreadCholeskyFactor):
        return torch.stack([spread_cholesky_of(factor.entries.detach(), noise) for factor in factors])
    return torch.linalg.cholesky(covariances_of(base) + noise * torch.eye(base.features).double())


def oracle_of(base):
    normal = MultivariateNormal(means_of(base), scale_tril=spread_roots_of(base))
    return MixtureSameFamily(Categorical(logits=base.logits.detach().double()), normal)


@every_kind
@tied_or_not
@pytest.mark.parametrize("learn_mean", [True, False])
@pytest.mark.parametrize(("features", "spread_variance"), [(5, 1e-2), (40, 1e-2), (5, 1e-4)])
@pytest.mark.usefixtures("arithmetic")
def test_the_density_and_its_gradient_are_those_of_torch_distributions(
    kind, tied, learn_mean, features, spread_variance
):
    base = mixture_of(kind, features=features, tied=tied, learn_mean=learn_mean, spread_variance=spread_variance)
    z = base.spread(base.sample(20)).detach().requires_grad_()
    found, expected = base.log_prob(z), oracle_of(base).log_prob(z)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    mine, other = (torch.autograd.grad(value.sum(), z)[0] for value in (found, expected))
    assert (mine - other).norm() <= 1e-10 * other.norm()


def plain_oracle(base, z, logits, locs, *factors):
    """The mixture of ``torch.distributions`` as a function of all parameters, through autograd."""
    noise = base.spread_variance
    if base.tied:
        entries, log_scales = factors
        roots = torch.stack([entries * log_scale.exp() for log_scale in log_scales])
    else:
        roots = torch.stack(factors)
    kind = base.factors.kind
    if isinstance(kind, SpreadCholeskyFactor):
        excess = roots.diagonal(dim1=1, dim2=2).square()
        if base.tied:
            own = entries.diagonal().square() + noise
            roots = entries.expand_as(roots) * ((excess + noise) / own).sqrt().unsqueeze(1)
        cholesky = roots.tril(-1) + (excess + noise).sqrt().diag_embed()
    else:
        a = roots.tril() if isinstance(kind, LowerTriangularFactor) else roots
        cholesky = torch.linalg.cholesky(a @ a.mT + noise * torch.eye(base.features).double())
    return MixtureSameFamily(Categorical(logits=logits), MultivariateNormal(locs, scale_tril=cholesky)).log_prob(z)


def parameters_of(base):
    """Logits, means, and what the factors have, in the order of ``plain_oracle``."""
    factors = [value for name, value in base.named_parameters() if name.startswith("factors.")]
    if base.tied:
        factors.sort(key=lambda value: value.dim(), reverse=True)
    return [base.logits, base.locs, *factors]


@every_kind
@tied_or_not
@pytest.mark.parametrize("features", [5, 40])
@pytest.mark.usefixtures("arithmetic")
def test_the_gradients_of_all_parameters_are_those_of_autograd_through_torch_distributions(kind, tied, features):
    base = mixture_of(kind, features=features, tied=tied, rank=3, spread_variance=1e-2)
    z = base.spread(base.sample(20)).detach().requires_grad_()
    inputs = [z, *parameters_of(base)]
    weights = torch.randn(20, dtype=torch.float64)
    mine = torch.autograd.grad(base.log_prob(z) @ weights, inputs)
    for found, other in zip(mine, torch.autograd.grad(plain_oracle(base, *inputs) @ weights, inputs), strict=True):
        assert (found - other).norm() <= 1e-10 * other.norm()


@every_kind
@tied_or_not
@pytest.mark.usefixtures("arithmetic")
def test_gradients_and_their_gradients_are_those_of_finite_differences(kind, tied):
    base = mixture_of(kind, features=4, pieces=2, tied=tied, spread_variance=0.3)
    z = base.spread(base.sample(3)).detach().requires_grad_()
    names = [name for name, _ in base.named_parameters()]
    base.forward = base.log_prob

    def log_prob(z, *parameters):
        return torch.func.functional_call(base, dict(zip(names, parameters, strict=True)), (z,))

    inputs = (z, *[value.detach().clone().requires_grad_() for value in base.parameters()])
    assert torch.autograd.gradcheck(log_prob, inputs)
    assert torch.autograd.gradgradcheck(log_prob, inputs)


def exact_log_prob_and_gradient(base, z):
    """In mpmath, 60 digits, from the numbers that are the parameters."""
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    with mpmath.workdps(60):
        noise = mpmath.mpf(float(base.spread_variance))
        logits = [mpmath.mpf(value) for value in base.logits.tolist()]
        terms, slopes = [], []
        for m in range(base.pieces):
            if base.tied:
                scale = mpmath.exp(mpmath.mpf(base.factors.log_scales[m].item()))
                entries = base.factors.factor.entries
            else:
                scale, entries = mpmath.mpf(1), base.factors.parts[m].entries
            b = mpmath.matrix(entries.detach().tolist())
            if isinstance(base.factors.kind, SpreadCholeskyFactor):
                root = mpmath.zeros(b.rows)
                for j in range(b.rows):
                    own = mpmath.sqrt(b[j, j] ** 2 + noise)
                    root[j, j] = mpmath.sqrt((scale * b[j, j]) ** 2 + noise)
                    for i in range(j + 1, b.rows):
                        root[i, j] = b[i, j] * root[j, j] / own
                covariance = root * root.T
            else:
                if isinstance(base.factors.kind, LowerTriangularFactor):
                    b = mpmath.matrix([[b[i, j] if j <= i else 0 for j in range(b.cols)] for i in range(b.rows)])
                covariance = scale**2 * b * b.T + noise * mpmath.eye(b.rows)
            centred = mpmath.matrix(z.tolist()) - mpmath.matrix(base.locs[m].tolist())
            solved = mpmath.lu_solve(covariance, centred)
            log_det = mpmath.log(mpmath.det(covariance)) + b.rows * mpmath.log(2 * mpmath.pi)
            terms.append(logits[m] - ((centred.T * solved)[0] + log_det) / 2)
            slopes.append(solved)
        total = sum(mpmath.exp(term) for term in terms)
        slope = sum((slopes[m] * (mpmath.exp(terms[m]) / total) for m in range(base.pieces)), mpmath.zeros(b.rows, 1))
        log_weight = mpmath.log(sum(mpmath.exp(value) for value in logits))
        return float(mpmath.log(total) - log_weight), torch.tensor(
            [float(-value) for value in slope], dtype=torch.float64
        )


@every_kind
@tied_or_not
@pytest.mark.parametrize("largest", [1e4, 1e8])
@pytest.mark.usefixtures("arithmetic")
def test_pieces_of_lower_rank_are_those_of_mpmath_at_a_condition_number_of_1e12(kind, tied, largest):
    """Of the gradient at 1e12 the rounding of z, whose flat part is a millionth of it, leaves ten digits."""
    base, digits = mixture_of(kind, features=6, tied=tied, rank=2, largest=largest), 10 if largest < 1e8 else 9
    points = base.spread(base.sample(4, piece=1)).detach().requires_grad_()
    found = base.log_prob(points)
    gradients = torch.autograd.grad(found.sum(), points)[0]
    for z, value, gradient in zip(points.detach(), found.tolist(), gradients, strict=True):
        expected, slope = exact_log_prob_and_gradient(base, z)
        assert value == pytest.approx(expected, rel=1e-10)
        assert (gradient - slope).norm() <= 10.0**-digits * slope.norm()


@every_kind
@pytest.mark.parametrize("learn_mean", [True, False])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_piece_is_the_degenerate_gaussian_to_the_last_bits(kind, learn_mean, tied, dtype):
    base = mixture_of(kind, pieces=1, tied=tied, learn_mean=learn_mean, dtype=dtype)
    single = DegenerateGaussian([5], factor=lambda _: base.factors.kind, learn_mean=learn_mean).to(dtype)
    if learn_mean:
        single.loc = torch.nn.Parameter(base.locs[0].detach().clone())
    z = base.spread(base.sample(7)).detach().requires_grad_()
    values = base.log_prob(z), single.log_prob(z)
    assert torch.equal(*values)
    entries = base.factors.kind.entries
    gradients = [torch.autograd.grad(value.sum(), (z, entries)) for value in values]
    assert all(map(torch.equal, *gradients))
    torch.testing.assert_close(base.covariance, single.covariance)


@every_kind
@tied_or_not
def test_equal_pieces_are_one(kind, tied):
    base = mixture_of(kind, tied=tied)
    roots = [base.piece(0).factor.matrix(base.spread_variance)] * 3
    base.assign(torch.ones(3), base.locs[:1].expand(3, -1).detach().clone(), roots)
    z = base.spread(base.sample(6)).detach()
    torch.testing.assert_close(base.log_prob(z), base.piece(1).log_prob(z), rtol=1e-10, atol=0.0)
    torch.testing.assert_close(
        base.responsibilities(z), torch.full((6, 3), 1 / 3, dtype=torch.float64), rtol=1e-9, atol=0.0
    )


@every_kind
@tied_or_not
def test_a_piece_of_weight_0_is_not_there_and_breaks_no_gradient(kind, tied):
    base = mixture_of(kind, tied=tied)
    with torch.no_grad():
        base.logits[1] = -torch.inf
    z = base.spread(base.sample(6)).detach().requires_grad_()
    others = oracle_of(base).component_distribution
    weights = base.weights.detach()[[0, 2]]
    expected = (others.log_prob(z.unsqueeze(1))[:, [0, 2]] + weights.log()).logsumexp(1)
    torch.testing.assert_close(base.log_prob(z), expected, rtol=1e-10, atol=0.0)
    gradients = torch.autograd.grad(base.log_prob(z).sum(), [z, *base.parameters()])
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert base.weights[1].item() == gradients[1][1].item() == 0.0
    assert (base.responsibilities(z)[:, 1] == 0.0).all()


@every_kind
@tied_or_not
def test_a_float32_mixture_is_its_float64_form_to_five_digits(kind, tied):
    base = mixture_of(kind, features=40, tied=tied, largest=100.0, dtype=torch.float32)
    z = base.spread(base.sample(50)).detach()
    exact = mixture_of(kind, features=40, tied=tied, largest=100.0)
    exact.load_state_dict(base.state_dict())
    found = base.log_prob(z)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact.log_prob(z.double()), rtol=1e-5, atol=0.0)


def test_many_pieces_for_few_features():
    base = mixture_of("LowerTriangularFactor", features=2, pieces=30, rank=1)
    z = base.spread(base.sample(10)).detach()
    torch.testing.assert_close(base.log_prob(z), oracle_of(base).log_prob(z), rtol=1e-10, atol=0.0)


@every_kind
@tied_or_not
def test_densities_can_be_mapped_and_differentiated_forward(kind, tied):
    base = mixture_of(kind, tied=tied, spread_variance=0.1)
    z = base.spread(base.sample(4)).detach()
    expected = torch.autograd.functional.jacobian(base.log_prob, z).diagonal(dim1=0, dim2=1).mT
    one = torch.func.grad(lambda point: base.log_prob(point.unsqueeze(0))[0])
    torch.testing.assert_close(torch.func.vmap(one)(z), expected, rtol=1e-8, atol=1e-10)
    forward = torch.func.jacfwd(lambda point: base.log_prob(point.unsqueeze(0))[0])
    torch.testing.assert_close(forward(z[0]), expected[0], rtol=1e-8, atol=1e-10)


def test_the_smallest_size_of_this_file_is_the_librarys():
    assert few_features.SMALL == separate_pieces.SMALL == 32
