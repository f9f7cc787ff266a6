"""Transforms with any parameters and inputs: round trips, and log-determinants against Jacobians by autograd."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drawn import SEEDS, magnitudes
from support import randomize
from transform_contract import CASES, VOLUME_PRESERVING, assert_forward_inverse_are_consistent, jacobian_logabsdet

pytestmark = pytest.mark.usefixtures("float64")
NAME = st.sampled_from(sorted(CASES))
PARAMETERS = magnitudes(-3.0, -0.3)
"""Standard deviations of what is added to the parameters."""
INPUTS = magnitudes(-3.0, 0.7)


def built(name, seed, spread, scale, rows=3):
    """A transform whose parameters are moved by so much, and inputs of a scale, with context."""
    torch.manual_seed(seed)
    case = CASES[name]
    transform = randomize(case.build().double(), spread)
    context = None if case.context is None else torch.randn(rows, case.context)
    return transform, scale * torch.randn(rows, *case.shape), context


@given(NAME, SEEDS, PARAMETERS, INPUTS, st.booleans())
def test_forward_and_inverse_agree(name, seed, spread, scale, training):
    transform, inputs, context = built(name, seed, spread, scale)
    assert_forward_inverse_are_consistent(transform.train(training), inputs, context, tolerance=1e-8)


@given(NAME, SEEDS, PARAMETERS, INPUTS)
def test_the_log_determinant_is_that_of_the_jacobian(name, seed, spread, scale):
    transform, inputs, context = built(name, seed, spread, scale, rows=2)
    _, logabsdet = transform.eval()(inputs, context)
    torch.testing.assert_close(jacobian_logabsdet(transform, inputs, context), logabsdet, rtol=0, atol=1e-8)


@given(st.sampled_from(sorted(VOLUME_PRESERVING)), SEEDS, PARAMETERS, INPUTS)
def test_volume_is_preserved_whatever_the_parameters(name, seed, spread, scale):
    transform, inputs, context = built(name, seed, spread, scale)
    outputs, logabsdet = transform(inputs, context)
    assert (logabsdet.abs() <= 1e-12).all()
    assert (transform.inverse(outputs, context)[1].abs() <= 1e-12).all()


@given(NAME, SEEDS, PARAMETERS, INPUTS, st.integers(1, 5))
def test_rows_are_mapped_alike_in_any_batch_and_order(name, seed, spread, scale, size):
    transform, inputs, context = built(name, seed, spread, scale, rows=5)
    order = torch.randperm(5)
    whole = transform.eval()(inputs, context)
    parts = [None] * 5 if context is None else context[order].split(size)
    found = [transform(rows, part) for rows, part in zip(inputs[order].split(size), parts)]
    for together, apart in zip(whole, zip(*found)):
        torch.testing.assert_close(torch.cat(apart), together[order], rtol=1e-10, atol=1e-10)
