"""Log-densities of pieces, batched or with one A at several scales, against one density after the other."""

import pytest
import torch

from nflows_spread.linalg import pieces
from nflows_spread.linalg.cholesky import cholesky_log_prob
from nflows_spread.linalg.cholesky_pieces import (
    cholesky_log_probs_of_pieces,
    cholesky_log_probs_of_scales,
    lower_solve,
    scaled_entries_of,
    spread_cholesky_of,
)
from nflows_spread.linalg.dense import spread_log_prob
from nflows_spread.linalg.low_rank import low_rank_log_prob
from nflows_spread.linalg.pieces import log_probs_of_pieces
from nflows_spread.linalg.scaled import log_probs_of_scales
from support import lower_triangular

NOISE = torch.tensor(1e-4, dtype=torch.float64)
SCALES = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def one_by_one(log_prob, z, means, factors):
    return torch.stack([log_prob(z - mean, a, NOISE) for mean, a in zip(means, factors, strict=True)], 1)


@pytest.mark.parametrize("features", [5, 40])
@pytest.mark.parametrize("rank", [2, 5])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_dense_pieces_are_those_of_the_single_density(features, rank, scale):
    factors = torch.stack([lower_triangular(features, rank, scale) for _ in range(3)])
    means, z = drawn(3, features), drawn(8, features, seed=1)
    found = log_probs_of_pieces(z, means, factors, NOISE, lower=True)
    torch.testing.assert_close(found, one_by_one(spread_log_prob, z, means, factors), rtol=1e-9, atol=0.0)
    scaled = SCALES.view(-1, 1, 1) * factors[0]
    found = log_probs_of_scales(z, means, factors[0], SCALES, NOISE, lower=True)
    torch.testing.assert_close(found, one_by_one(spread_log_prob, z, means, scaled), rtol=1e-9, atol=0.0)


@pytest.mark.parametrize("features", [5, 40])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e6])
def test_low_rank_pieces_are_those_of_the_single_density(features, scale):
    factors, means, z = scale * drawn(3, features, 2), drawn(3, features, seed=1), drawn(8, features, seed=2)
    found = log_probs_of_pieces(z, means, factors, NOISE, lower=False)
    torch.testing.assert_close(found, one_by_one(low_rank_log_prob, z, means, factors), rtol=1e-9, atol=0.0)
    scaled = SCALES.view(-1, 1, 1) * factors[0]
    found = log_probs_of_scales(z, means, factors[0], SCALES, NOISE, lower=False)
    torch.testing.assert_close(found, one_by_one(low_rank_log_prob, z, means, scaled), rtol=1e-9, atol=0.0)


def test_a_factor_of_more_columns_than_its_rank_has_no_gradient_that_is_not_a_number():
    a = torch.cat([drawn(6, 1), torch.zeros(6, 3, dtype=torch.float64)], 1).requires_grad_()
    z, means = drawn(5, 6, seed=1), drawn(3, 6, seed=2)
    for factor in (a, torch.nn.functional.pad(a, (0, 2))):
        found = log_probs_of_scales(z, means, factor, SCALES, NOISE, lower=False)
        expected = one_by_one(low_rank_log_prob, z, means, SCALES.view(-1, 1, 1) * factor)
        mine, other = (torch.autograd.grad(value.sum(), a, retain_graph=True)[0] for value in (found, expected))
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-8 * float(other.abs().max()))


@pytest.mark.parametrize("features", [5, 40, 600])
def test_pieces_by_cholesky_factors_are_those_of_the_single_density(features):
    pieces_of = 0.3 * drawn(3, features, features) / features**0.5 + torch.eye(features, dtype=torch.float64)
    means, z = drawn(3, features, seed=1), drawn(8, features, seed=2)
    found = cholesky_log_probs_of_pieces(z, means, pieces_of, NOISE)
    torch.testing.assert_close(found, one_by_one(cholesky_log_prob, z, means, pieces_of), rtol=1e-10, atol=0.0)
    scaled = torch.stack([scaled_entries_of(pieces_of[0], scale, NOISE) for scale in SCALES])
    found = cholesky_log_probs_of_scales(z, means, pieces_of[0], SCALES, NOISE)
    torch.testing.assert_close(found, one_by_one(cholesky_log_prob, z, means, scaled), rtol=1e-10, atol=0.0)


def test_scaled_entries_scale_the_conditional_variances_above_the_noise():
    entries = drawn(4, 4)
    before, after = (
        torch.linalg.ldl_factor(spread_cholesky_of(b, NOISE) @ spread_cholesky_of(b, NOISE).mT).LD
        for b in (entries, scaled_entries_of(entries, torch.tensor(3.0), NOISE))
    )
    torch.testing.assert_close(after.tril(-1), before.tril(-1))
    torch.testing.assert_close(after.diagonal() - NOISE, 9.0 * (before.diagonal() - NOISE))


@pytest.mark.parametrize("features", [5, 300])
def test_the_substitution_has_the_gradients_of_torch(features):
    entries = (0.3 * drawn(features, features) / features**0.5 + torch.eye(features)).requires_grad_()
    rhs, upstream = drawn(features, 6, seed=1).requires_grad_(), drawn(features, 6, seed=2)
    found = lower_solve(rhs, entries, NOISE)
    expected = torch.linalg.solve_triangular(spread_cholesky_of(entries, NOISE), rhs, upper=False)
    torch.testing.assert_close(found, expected)
    for mine, other in zip(
        *(torch.autograd.grad(value, (rhs, entries), upstream) for value in (found, expected)), strict=True
    ):
        torch.testing.assert_close(mine, other)


def test_only_the_pieces_that_need_it_are_decomposed_by_qr(monkeypatch):
    asked = []
    original = pieces.cholesky_by_qr
    monkeypatch.setattr(pieces, "cholesky_by_qr", lambda a, noise: asked.append(a) or original(a, noise))
    factors = torch.stack([lower_triangular(5, 2, scale) for scale in (1.0, 1e6, 1.0)])
    log_probs_of_pieces(drawn(4, 5), drawn(3, 5), factors, NOISE, lower=True)
    assert len(asked) == 1
    assert torch.equal(asked[0], factors[1])
