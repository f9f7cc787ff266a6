"""Weighted squared distances: by products and piece by piece the same, near and far from the origin."""

import pytest
import torch

from nflows_spread.linalg import squares
from nflows_spread.linalg.squares import weighted_squares


def inputs(offset=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x, centres = (torch.randn(n, 6, generator=generator, dtype=torch.float64) + offset for n in (7, 3))
    weights = torch.rand(3, 6, generator=generator, dtype=torch.float64)
    return [tensor.requires_grad_() for tensor in (x, centres, weights)]


def plainly(x, centres, weights):
    return ((x.unsqueeze(1) - centres).square() * weights).sum(2)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("largest", [1e4, 0.0])
def test_numbers_and_gradients_are_those_of_the_formula(monkeypatch, largest, offset):
    monkeypatch.setattr(squares, "_LARGEST_SQUARE", largest)
    given = inputs(offset)
    found, expected = weighted_squares(*given), plainly(*given)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0.0)
    upstream = torch.randn(7, 3, dtype=torch.float64)
    for mine, other in zip(*(torch.autograd.grad(value, given, upstream) for value in (found, expected)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-11, atol=1e-13)
    assert torch.autograd.gradcheck(weighted_squares, inputs())
    assert torch.autograd.gradgradcheck(weighted_squares, inputs())


def test_pieces_that_are_far_apart_keep_all_digits():
    x, centres, weights = inputs()
    with torch.no_grad():
        centres[0] += 1e7
        x[0] = centres[0] + 1e-3
    torch.testing.assert_close(
        weighted_squares(x, centres, weights), plainly(x, centres, weights), rtol=1e-12, atol=0.0
    )


def test_it_can_be_mapped():
    x, centres, weights = (tensor.detach() for tensor in inputs())
    mapped = torch.func.vmap(lambda point: weighted_squares(point.unsqueeze(0), centres, weights)[0])(x)
    torch.testing.assert_close(mapped, plainly(x, centres, weights))
