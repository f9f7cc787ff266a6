"""Low-rank plus diagonal Gaussians: densities against scipy and one by one, and the nearest covariance."""

import pytest
import torch
from scipy import stats

from nflows_spread.linalg.low_rank_plus_diagonal import (
    low_rank_plus_diagonal_log_prob,
    low_rank_plus_diagonal_log_probs,
    low_rank_plus_diagonal_of,
)

FEATURES, RANK, PIECES = 7, 2, 3

reached = pytest.mark.parametrize("leading", [FEATURES, 4])


def some_pieces(leading, generator, *, smallest=1e-4):
    options = {"generator": generator, "dtype": torch.float64}
    means = 3.0 * torch.randn(PIECES, FEATURES, **options)
    low_rank = torch.randn(PIECES, leading, RANK, **options)
    variances = smallest ** torch.rand(PIECES, FEATURES, **options)
    return torch.randn(5, FEATURES, **options), means, low_rank, variances


def covariance_of_piece(low_rank, variances):
    whole = torch.cat([low_rank, low_rank.new_zeros(len(variances) - len(low_rank), low_rank.shape[1])])
    return whole @ whole.mT + variances.diag()


@reached
def test_densities_are_scipys_for_one_and_for_many_pieces(leading, generator):
    z, means, low_rank, variances = some_pieces(leading, generator)
    found = low_rank_plus_diagonal_log_probs(z, means, low_rank, variances)
    for m in range(PIECES):
        covariance = covariance_of_piece(low_rank[m], variances[m])
        expected = torch.from_numpy(stats.multivariate_normal(means[m], covariance).logpdf(z))
        torch.testing.assert_close(found[:, m], expected, rtol=1e-10, atol=0.0)
        alone = low_rank_plus_diagonal_log_prob(z - means[m], low_rank[m], variances[m])
        torch.testing.assert_close(alone, expected, rtol=1e-10, atol=0.0)


@reached
@pytest.mark.parametrize("which", ["one", "many"])
def test_gradients_are_those_of_finite_differences(leading, which, generator):
    given = [tensor.requires_grad_() for tensor in some_pieces(leading, generator, smallest=0.1)]
    if which == "many":
        assert torch.autograd.gradcheck(low_rank_plus_diagonal_log_probs, given)
        return
    z, _, low_rank, variances = given
    inputs = z, low_rank[0].detach().requires_grad_(), variances[0].detach().requires_grad_()
    assert torch.autograd.gradcheck(low_rank_plus_diagonal_log_prob, inputs)


@reached
def test_a_covariance_of_this_form_is_found_again(leading, generator):
    """Exactly where its axes are those of the whole: for equal variances of the features that W reaches."""
    _, _, low_rank, variances = some_pieces(leading, generator)
    variances[0, :leading] = 0.01
    covariance = covariance_of_piece(low_rank[0], variances[0])
    found = covariance_of_piece(*low_rank_plus_diagonal_of(torch.linalg.cholesky(covariance), RANK, leading))
    torch.testing.assert_close(found, covariance, rtol=1e-6, atol=1e-8)


@reached
def test_any_covariance_keeps_its_diagonal_and_its_variance_along_the_leading_axes(leading, generator):
    root = torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT
    low_rank, variances = low_rank_plus_diagonal_of(root, RANK, leading)
    assert (variances >= 0.0).all()
    found = covariance_of_piece(low_rank, variances)
    torch.testing.assert_close(found.diagonal(), covariance.diagonal())
    axes = torch.linalg.eigh(covariance[:leading, :leading]).eigenvectors[:, -RANK:]
    along = [(axes.mT @ each[:leading, :leading] @ axes).diagonal() for each in (found, covariance)]
    torch.testing.assert_close(*along, rtol=0.02, atol=0.0)
