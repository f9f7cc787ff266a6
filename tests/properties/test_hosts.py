"""Every host's models with any parameters: round trips, densities, batches, and what survives a copy."""

import copy
import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from drawn import SEEDS, magnitudes, share_of_cases
from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import base_of, decode, encode
from nflows_spread.hosts import encode_with_logabsdet
from transform_contract import jacobian_logabsdet

slowly = share_of_cases(0.3)
pytestmark = pytest.mark.usefixtures("float64")
NAME = st.sampled_from(sorted(MODELS))
SCALE = magnitudes(-3.0, 0.0)


def model_of(name, seed, scale, rows=4):
    """A model with random parameters, its prior at a scale, and data and context for it."""
    torch.manual_seed(seed)
    flow = spread_flow(name)
    base = base_of(flow)
    root = torch.linspace(scale, 0.1 * scale, base.features).diag()
    with torch.no_grad():
        base.factor.assign(root, base.spread_variance)
    return flow, *inputs_for(name, rows)


@slowly
@given(NAME, SEEDS, SCALE)
def test_data_come_back_from_their_latents(name, seed, scale):
    flow, x, context = model_of(name, seed, scale)
    x = scale * x  # within the interval in which every host inverts
    with torch.no_grad():
        back = decode(flow, encode(flow, x, context), context)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4 if "zuko" in name else 1e-7)  # zuko inverts by bisection


@slowly
@given(NAME, SEEDS, SCALE)
def test_the_log_determinant_is_that_of_the_jacobian(name, seed, scale):
    flow, x, context = model_of(name, seed, scale, rows=2)
    _, logabsdet = encode_with_logabsdet(flow, x, context)
    expected = jacobian_logabsdet(lambda rows, given: encode_with_logabsdet(flow, rows, given), x, context)
    torch.testing.assert_close(logabsdet, expected, rtol=0, atol=1e-7)


@slowly
@given(NAME, SEEDS, SCALE, st.integers(1, 4))
def test_rows_have_the_same_latents_in_any_batch_and_order(name, seed, scale, size):
    flow, x, context = model_of(name, seed, scale)
    order = torch.randperm(len(x))
    parts = [None] * len(x) if context is None else context[order].split(size)
    with torch.no_grad():
        together = encode(flow, x, context)
        apart = torch.cat([encode(flow, rows, part) for rows, part in zip(x[order].split(size), parts)])
    torch.testing.assert_close(apart, together[order], rtol=1e-9, atol=1e-9)


@slowly
@given(NAME, SEEDS, SCALE)
def test_copies_and_saved_flows_are_the_same_to_the_digit(name, seed, scale):
    flow, x, context = model_of(name, seed, scale)
    file = io.BytesIO()
    torch.save(flow, file)
    file.seek(0)
    with torch.no_grad():
        z = encode(flow, x, context)
        for twin in (copy.deepcopy(flow), torch.load(file, weights_only=False)):
            assert torch.equal(encode(twin, x, context), z)
            assert torch.equal(base_of(twin).log_prob(z), base_of(flow).log_prob(z))
