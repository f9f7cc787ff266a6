import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch

from nflows_spread import linalg
from nflows_spread.linalg import spread, triangular
from support import kernel_entropy, log_prob_by_autograd, lower_triangular, scipy_log_prob

SPREAD = torch.tensor(1e-4, dtype=torch.float64)
FEATURES = 16
RANKS = {"full rank": FEATURES, "rank 0": 0, "rank 1": 1, "rank D/4": FEATURES // 4}
SCALES = [1e-3, 0.1, 1.0, 30.0]

both_ways = pytest.mark.usefixtures("size_of_small_priors")


def points_of_the_spread_prior(factor, n=8):
    factor = factor.double()
    z = torch.randn(n, len(factor), dtype=torch.float64) @ factor.T
    return z + SPREAD.sqrt() * torch.randn_like(z)


@both_ways
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS.keys())
def test_log_prob_is_scipys_to_1e_10_in_float64(rank, scale):
    factor = lower_triangular(FEATURES, rank, scale)
    z = points_of_the_spread_prior(factor)
    ours = linalg.spread_log_prob(z, factor, SPREAD).numpy()
    np.testing.assert_allclose(ours, scipy_log_prob(z, factor, float(SPREAD)), rtol=1e-10, atol=0)


@both_ways
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS.keys())
def test_log_prob_is_scipys_to_1e_5_in_float32(rank, scale):
    factor = lower_triangular(FEATURES, rank, scale, torch.float32)
    z = points_of_the_spread_prior(factor).float()
    ours = linalg.spread_log_prob(z, factor, SPREAD)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), scipy_log_prob(z, factor, float(SPREAD)), rtol=1e-5, atol=0)


def test_log_prob_is_that_of_scipys_plain_call_where_the_sum_can_be_formed():
    factor = lower_triangular(6, 6, 1.0)
    z = points_of_the_spread_prior(factor)
    covariance = (factor @ factor.T + SPREAD * torch.eye(6)).numpy()
    expected = scipy.stats.multivariate_normal(np.zeros(6), covariance).logpdf(z.numpy())
    np.testing.assert_allclose(linalg.spread_log_prob(z, factor, SPREAD).numpy(), expected, rtol=1e-9)


@both_ways
@pytest.mark.parametrize("rank", [4, 2, 1])
def test_gradients_and_their_gradients_are_those_of_finite_differences(rank):
    factor = lower_triangular(4, rank, 1.0).requires_grad_()
    z = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    spread = torch.tensor(0.3, dtype=torch.float64)

    def log_prob(z, factor):
        return linalg.spread_log_prob(z, factor, spread)

    assert torch.autograd.gradcheck(log_prob, (z, factor))
    assert torch.autograd.gradgradcheck(log_prob, (z, factor))


def log_prob_by_qr(z, factor, spread_variance):
    """The same density through autograd and [A, σI]ᵀ = QR, in which no flat direction is lost."""
    stacked = torch.cat([factor, spread_variance.sqrt() * torch.eye(len(factor), dtype=factor.dtype)], dim=1)
    return log_prob_by_autograd(z, torch.linalg.qr(stacked.mT).R.mT)


@pytest.mark.parametrize(("features", "tolerance"), [(64, 1e-4), (1024, 1e-3)])
def test_large_rank_deficient_factors_neither_fail_nor_lose_their_gradient_in_float32(features, tolerance):
    factor = lower_triangular(features, features // 4, 30.0, torch.float32).requires_grad_()
    z = points_of_the_spread_prior(factor.detach(), n=32).float().requires_grad_()
    values = linalg.spread_log_prob(z, factor, SPREAD)
    gradients = torch.autograd.grad(values.mean(), (z, factor))

    reference_factor, reference_z = (t.detach().double().requires_grad_() for t in (factor, z))
    reference = log_prob_by_qr(reference_z, reference_factor.tril(), SPREAD)
    expected = torch.autograd.grad(reference.mean(), (reference_z, reference_factor))
    torch.testing.assert_close(values.double(), reference, rtol=tolerance, atol=0)
    for gradient, truth in zip(gradients, expected):
        assert gradient.dtype == torch.float32
        assert (gradient.double() - truth).norm() <= tolerance * truth.norm()


def by_autograd(z, entries, spread_variance):
    """The density of ``cholesky_log_prob`` through autograd."""
    return log_prob_by_autograd(z, entries.tril(-1) + (entries.diagonal().square() + spread_variance).sqrt().diag())


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
def test_substitutions_by_blocks_have_the_values_and_gradients_of_autograd(dtype, tolerance):
    """More features than are written out in float64, in blocks of which the last one is not full."""
    features = triangular._WHOLE + triangular._ROWS + 3
    spectrum = torch.logspace(0, 4, features, dtype=torch.float64)  # the squares of a condition number of 1e8
    entries = torch.randn(features, features, dtype=torch.float64) / features**0.5
    entries = (spectrum.unsqueeze(1) * (entries.tril(-1) + torch.eye(features)) + entries.triu(1)).to(dtype)
    z = (spectrum * torch.randn(20, features, dtype=torch.float64)).to(dtype)
    found = []
    for function, up in ((linalg.cholesky_log_prob, dtype), (by_autograd, torch.float64)):
        inputs = [t.detach().to(up).requires_grad_() for t in (z, entries)]
        values = function(*inputs, SPREAD)
        found.append([values, *torch.autograd.grad(values.mean(), inputs)])
    for mine, other in zip(*found):
        assert mine.dtype == dtype
        assert (mine.double() - other).norm() <= tolerance * other.norm()
    assert not found[0][2].triu(1).any()


def test_large_triangles_are_not_copied_into_float64():
    large = torch.eye(triangular._WHOLE + 1)
    assert triangular.in_double(large, large.diagonal().double()) is large


@pytest.mark.parametrize("features", [5, 6])
def test_substitutions_by_blocks_can_be_differentiated_twice(features, monkeypatch):
    monkeypatch.setattr(triangular, "_WHOLE", 1)
    monkeypatch.setattr(triangular, "_ROWS", 2)
    entries = lower_triangular(features, features, 1.0).requires_grad_()
    z = torch.randn(3, features, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(linalg.cholesky_log_prob, (z, entries, SPREAD))
    assert torch.autograd.gradgradcheck(linalg.cholesky_log_prob, (z, entries, SPREAD))


def test_scales_beyond_the_resolution_of_the_sum_do_not_fail():
    factor = lower_triangular(12, 3, 1e8)
    z = points_of_the_spread_prior(factor).requires_grad_()
    log_prob = linalg.spread_log_prob(z, factor.requires_grad_(), SPREAD)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(factor.grad).all()


@both_ways
@pytest.mark.parametrize("scale", [1e7, 1e8, 1e9])
def test_float32_factors_whose_sum_is_indefinite_have_the_density_of_the_qr_decomposition(scale):
    factor = lower_triangular(12, 3, scale, torch.float32)
    z = 0.01 * torch.randn(5, 12)
    expected = log_prob_by_qr(z.double(), factor.double(), SPREAD)
    torch.testing.assert_close(linalg.spread_log_prob(z, factor, SPREAD).double(), expected, rtol=1e-5, atol=0.0)


def test_diagonal_log_prob_is_that_of_independent_normals():
    z, variances = torch.randn(7, 3, dtype=torch.float64), torch.tensor([2.0, 0.3, 1e-4], dtype=torch.float64)
    expected = torch.distributions.Normal(torch.zeros(3), variances.sqrt()).log_prob(z).sum(1)
    torch.testing.assert_close(linalg.diagonal_log_prob(z, variances), expected)


def test_eigendecomposition_is_numpys_in_descending_order_with_fixed_signs():
    factor = lower_triangular(9, 5, 2.0)
    values, vectors = linalg.factor_eigh(factor)
    covariance = factor @ factor.T
    np.testing.assert_allclose(values, np.linalg.eigvalsh(covariance.numpy())[::-1].clip(0), atol=1e-12)
    torch.testing.assert_close(vectors * values @ vectors.T, covariance)
    assert (values >= 0).all()
    assert (values[5:] < 1e-12).all()
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    assert (largest > 0).all()


def random_pair(features):
    root, other = torch.randn(2, features, features, dtype=torch.float64)
    return root @ root.T, other @ other.T + 0.1 * torch.eye(features, dtype=torch.float64)


@pytest.mark.parametrize("features", [1, 5, 200])
def test_cholesky_factors_are_scipys_and_lie_where_a_matrix_by_columns_lay(features):
    root = torch.randn(features, features + 1, dtype=torch.float64)
    by_rows = root @ root.mT
    by_columns, before = by_rows.clone().mT, by_rows.clone()
    expected = scipy.linalg.cholesky(by_rows.numpy(), lower=True)
    for matrix in (by_rows, by_columns):
        cholesky, info = spread.cholesky_of(matrix)
        np.testing.assert_allclose(cholesky, expected, rtol=1e-9, atol=1e-12)
        assert int(info) == 0
    assert cholesky.data_ptr() == by_columns.data_ptr()
    assert features == 1 or torch.equal(by_rows, before)
    assert int(spread.cholesky_of((-before).mT)[1]) > 0


def test_a_cholesky_factor_whose_matrix_has_a_gradient_is_made_apart():
    entries = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: spread.cholesky_of((a @ a.mT + torch.eye(4)).mT)[0], entries)


@pytest.mark.parametrize("features", [5, 80])
@pytest.mark.parametrize("lowest", [-1e-3, -0.3])
def test_an_indefinite_second_moment_counts_without_its_negative_eigenvalues(features, lowest):
    """Rounding can leave eigenvalues below −σ_Z², and then no Cholesky factor; AAᵀ has none below 0."""
    vectors = torch.linalg.qr(torch.randn(features, features, dtype=torch.float64)).Q
    values = torch.linspace(lowest, 4.0, features, dtype=torch.float64)
    covariance = vectors * values @ vectors.T
    covariance = 0.5 * (covariance + covariance.T)
    clipped = scipy.stats.Covariance.from_eigendecomposition(
        ((values.clamp_min(0.0) + SPREAD).numpy(), vectors.numpy())
    )
    z = (torch.randn(6, features, dtype=torch.float64) * 0.1).requires_grad_()
    found = linalg.covariance_log_prob(z, covariance, SPREAD)
    expected = scipy.stats.multivariate_normal(np.zeros(features), clipped).logpdf(z.detach().numpy())
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-9)
    precision = vectors / (values.clamp_min(0.0) + SPREAD) @ vectors.T
    torch.testing.assert_close(torch.autograd.grad(found.sum(), z)[0], -z.detach() @ precision, rtol=1e-7, atol=1e-9)
    mapped = torch.func.vmap(lambda row: linalg.covariance_log_prob(row[None], covariance, SPREAD)[0])(z.detach())
    np.testing.assert_allclose(mapped.numpy(), expected, rtol=1e-9)


def test_densities_leave_the_covariance_they_are_given_alone():
    root = torch.randn(40, 40, dtype=torch.float64)
    for covariance in (root @ root.mT, (root @ root.mT).mT):
        before = covariance.clone()
        linalg.covariance_log_prob(torch.randn(3, 40), covariance, SPREAD)
        linalg.generalised_eigh(covariance, covariance)
        assert torch.equal(covariance, before)


def test_generalised_eigenvalues_are_scipys():
    signal, noise = random_pair(7)
    expected = scipy.linalg.eigh(signal.numpy(), noise.numpy(), eigvals_only=True)[::-1]
    np.testing.assert_allclose(linalg.generalised_eigh(signal, noise)[0], expected, rtol=1e-8, atol=1e-12)


def test_linear_maps_of_the_space_leave_generalised_eigenvalues_alone():
    signal, noise = random_pair(5)
    expected = linalg.generalised_eigh(signal, noise)[0]
    dense = torch.randn(5, 5, dtype=torch.float64)
    diagonal = torch.tensor([1e-6, 1e-3, 1.0, 1e3, 1e6], dtype=torch.float64).diag()
    for gauge in (dense, diagonal, diagonal @ dense):
        moved = linalg.generalised_eigh(gauge @ signal @ gauge.T, gauge @ noise @ gauge.T)[0]
        torch.testing.assert_close(moved, expected, rtol=1e-8, atol=0)


def test_generalised_eigenvectors_are_orthonormal_in_the_noise_and_diagonalise_the_signal():
    signal, noise = random_pair(6)
    values, vectors = linalg.generalised_eigh(signal, noise)
    torch.testing.assert_close(vectors.T @ noise @ vectors, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(vectors.T @ signal @ vectors, values.diag(), rtol=0, atol=1e-9)


def test_generalised_eigenvalues_of_a_singular_signal_are_not_negative():
    """Rounding leaves about half of the zeros below 0."""
    _, noise = random_pair(20)
    direction = torch.randn(20, 1, dtype=torch.float64)
    values, _ = linalg.generalised_eigh(direction @ direction.mT, noise)
    assert (values >= 0.0).all()
    assert float(values[1]) < 1e-12 * float(values[0])


def test_pointwise_signal_to_noise_is_that_of_each_jacobian():
    signal, _ = random_pair(4)
    jacobians = torch.randn(6, 4, 4, dtype=torch.float64)
    each = [scipy.linalg.eigh(signal.numpy(), (j @ j.T).numpy(), eigvals_only=True)[::-1] for j in jacobians]
    np.testing.assert_allclose(linalg.log_pointwise_signal_to_noise(signal, jacobians), np.log(each), rtol=1e-8)


def test_a_singular_response_to_noise_is_refused():
    signal, noise = random_pair(3)
    noise[2] = noise[:, 2] = 0.0
    with pytest.raises(ValueError, match="must be positive definite"):
        linalg.generalised_eigh(signal, noise)


def test_moments_are_numpys():
    x = torch.randn(50, 3) + 2.0
    np.testing.assert_allclose(linalg.covariance_of(x), np.cov(x.double().numpy().T, bias=True))
    np.testing.assert_allclose(linalg.second_moment_of(x), x.double().numpy().T @ x.double().numpy() / 50)


@pytest.mark.parametrize("variance", [1e-4, 0.1, 3.0])
def test_kernel_entropy_is_the_log_density_of_a_mixture_at_its_centres(variance):
    z = torch.randn(40, 3, dtype=torch.float64, requires_grad=True)
    ours = linalg.kernel_negative_entropy(z, torch.tensor(variance))
    theirs = kernel_entropy(z, float(torch.tensor(variance)))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours, z), torch.autograd.grad(theirs, z), atol=1e-9, rtol=1e-6)


def test_the_kernel_entropy_of_points_far_from_the_origin_is_at_most_that_of_one_point():
    """A mean of normal densities is never above their height; rounding would leave negative squared distances."""
    spread = torch.tensor(1e-4, dtype=torch.float64)
    highest = -2.5 * float((2.0 * torch.pi * spread).log())
    for _ in range(20):
        z = 1e6 * torch.randn(1, 5, dtype=torch.float64) + 1e-3 * torch.randn(4, 5, dtype=torch.float64)
        assert float(linalg.kernel_negative_entropy(z, spread)) <= highest + 1e-9
