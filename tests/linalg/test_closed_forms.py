"""Functions with a gradient in closed form (nets, affine couplings, splines) against the same of plain operations."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import torch

from nflows_spread.linalg.by_columns import lies_by_columns, takes_closed_form
from nflows_spread.linalg.rational_quadratic import plain_spline, spline
from nflows_spread.linalg.stacked_nets import plain_stacked_nets, stacked_nets
from nflows_spread.linalg.tanh_affine import plain_tanh_affine, tanh_affine

ROWS, FEATURES = 7, 5


def drawn(*shape, scale=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed + sum(shape))
    return (scale * torch.randn(*shape, generator=generator, dtype=torch.float64)).requires_grad_()


def columns(rows, features, **options):
    return drawn(features, rows, **options).detach().mT.requires_grad_()


def nets(run, x, *parameters):
    depth = len(parameters) // 2
    return run(x, parameters[:depth], parameters[depth:], 0.2)


def of_nets():
    widths = [FEATURES, 4, 6, 3]
    weights = [drawn(2, m, n, seed=n) for m, n in pairwise(widths)]
    biases = [drawn(2, 1, n, seed=9) for n in widths[1:]]
    return [columns(ROWS, FEATURES), *weights, *biases]


def of_coupling():
    return [columns(ROWS, FEATURES), columns(ROWS, 4, seed=1), drawn(2)]


def of_spline():
    # some values are beyond the bound, where the spline is the identity
    return [columns(ROWS, FEATURES, scale=2.0), *(drawn(FEATURES, bins, seed=bins) for bins in (4, 4, 3))]


FORMS = {
    "nets": (partial(nets, stacked_nets), partial(nets, plain_stacked_nets), of_nets),
    "coupling of the first": (
        lambda *inputs: tanh_affine(*inputs, leading=True),
        lambda *inputs: plain_tanh_affine(*inputs, leading=True),
        of_coupling,
    ),
    "coupling of the last": (
        lambda *inputs: tanh_affine(*inputs, leading=False),
        lambda *inputs: plain_tanh_affine(*inputs, leading=False),
        of_coupling,
    ),
    "spline": (lambda *inputs: spline(*inputs, 3.0), lambda *inputs: plain_spline(*inputs, 3.0), of_spline),
}


def parts_of(outputs):
    return outputs if isinstance(outputs, tuple) else (outputs,)


def scalar(outputs):
    """A number to which every output contributes with weights of its own."""
    return sum((part * drawn(*part.shape, seed=3).detach()).sum() for part in parts_of(outputs))


@pytest.mark.parametrize("name", FORMS)
def test_values_and_gradients_are_those_of_plain_operations(name):
    form, plain, make = FORMS[name]
    inputs = make()
    for mine, other in zip(*(parts_of(run(*inputs)) for run in (form, plain)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)
    found, expected = (torch.autograd.grad(scalar(run(*inputs)), inputs) for run in (form, plain))
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FORMS)
def test_gradients_are_those_of_finite_differences_twice(name):
    form, _, make = FORMS[name]
    assert torch.autograd.gradcheck(form, make())
    assert torch.autograd.gradgradcheck(form, make())


@pytest.mark.parametrize("name", FORMS)
def test_only_what_is_asked_for_has_a_gradient(name):
    form, plain, make = FORMS[name]
    inputs = make()
    first = inputs[0]
    others = [value.detach() for value in inputs[1:]]
    (mine,), (other,) = (torch.autograd.grad(scalar(run(first, *others)), first) for run in (form, plain))
    torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", FORMS)
def test_outputs_lie_by_columns(name):
    form, _, make = FORMS[name]
    assert lies_by_columns(parts_of(form(*make()))[0])


def test_second_derivatives_leave_out_the_way_through_other_inputs():
    weights = of_coupling()[2]
    form, plain = (
        lambda scale, run=run: scalar(run(columns(ROWS, FEATURES).detach() * scale.sum(), columns(ROWS, 4), scale))
        for run in (FORMS["coupling of the last"][0], FORMS["coupling of the last"][1])
    )
    mine, other = (torch.autograd.functional.hessian(run, weights) for run in (form, plain))
    torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-10)


def test_no_closed_form_is_taken_where_torch_follows_operations():
    x = columns(ROWS, FEATURES).detach()
    assert takes_closed_form(x)
    seen = []
    torch.func.vmap(lambda row: seen.append(takes_closed_form(x)) or row)(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen.append(takes_closed_form(x))
    assert seen == [False, False]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [(torch.zeros(3, 2), False), (torch.zeros(2, 3).mT, True), (torch.zeros(4, 3).mT[:, 1:3], True)],
)
def test_a_batch_lies_by_columns_if_the_values_of_a_feature_are_side_by_side(batch, expected):
    assert lies_by_columns(batch) is expected
