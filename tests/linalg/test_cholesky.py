"""The density whose parameters are a Cholesky factor, by blocks where it is large, against autograd."""

import pytest
import torch

from nflows_spread.linalg import triangular
from nflows_spread.linalg.cholesky import cholesky_entries_of, cholesky_log_prob, spread_cholesky_of
from support import log_prob_by_autograd, lower_triangular

SPREAD = torch.tensor(1e-4, dtype=torch.float64)


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
    for function, up in ((cholesky_log_prob, dtype), (by_autograd, torch.float64)):
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
    assert torch.autograd.gradcheck(cholesky_log_prob, (z, entries, SPREAD))
    assert torch.autograd.gradgradcheck(cholesky_log_prob, (z, entries, SPREAD))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_entries_of_a_root_are_those_of_its_covariance_with_noise(scale):
    root = scale * torch.randn(6, 3, dtype=torch.float64)
    noise = torch.tensor(0.01 * scale**2, dtype=torch.float64)
    expected = torch.linalg.cholesky(root @ root.mT + noise * torch.eye(6))
    torch.testing.assert_close(spread_cholesky_of(cholesky_entries_of(root, noise), noise), expected)
