"""The log-density that priors of few features have to themselves: any A, against scipy and finite differences."""

import numpy as np
import pytest
import torch

from nflows_spread.linalg.few_features import small_log_prob
from support import scipy_log_prob

SPREAD = torch.tensor(1e-4, dtype=torch.float64)


@pytest.mark.parametrize("lower", [True, False], ids=["lower", "any"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (5, 2)])
def test_log_prob_is_scipys(shape, lower):
    factor, z = torch.randn(shape, dtype=torch.float64), torch.randn(7, shape[0], dtype=torch.float64)
    read = factor.tril() if lower else factor
    square = torch.nn.functional.pad(read, (0, shape[0] - shape[1]))
    expected = scipy_log_prob(z, square, float(SPREAD))
    np.testing.assert_allclose(small_log_prob(z, factor, SPREAD, lower=lower), expected, rtol=1e-8)
    assert small_log_prob(z.float(), factor.float(), SPREAD, lower=lower).dtype == torch.float32


@pytest.mark.parametrize("lower", [True, False], ids=["lower", "any"])
def test_gradients_and_their_gradients_are_those_of_finite_differences(lower):
    factor = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    z = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    spread = torch.tensor(0.3, dtype=torch.float64)

    def log_prob(z, factor):
        return small_log_prob(z, factor, spread, lower=lower)

    assert torch.autograd.gradcheck(log_prob, (z, factor))
    assert torch.autograd.gradgradcheck(log_prob, (z, factor))


def test_what_is_above_the_diagonal_is_not_read_and_gets_no_gradient():
    factor, z = torch.randn(4, 4, dtype=torch.float64, requires_grad=True), torch.randn(3, 4, dtype=torch.float64)
    small_log_prob(z, factor, SPREAD, lower=True).sum().backward()
    assert not factor.grad.triu(1).any()
    changed = factor.detach() + torch.ones(4, 4, dtype=torch.float64).triu(1)
    values = [small_log_prob(z, a, SPREAD, lower=True) for a in (factor.detach(), changed)]
    assert torch.equal(*values)
