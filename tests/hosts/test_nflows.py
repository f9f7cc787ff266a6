"""Flows of nflows through their adapter: encode, decode, base, embedded context, samples, and what is no flow."""

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow, SimpleRealNVP
from nflows.transforms import LULinear
from torch import nn

from nflows_spread import DegenerateGaussian, base_of, decode, encode, swap_base
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.models import coupling_flow
from support import randomize, refused
from swapped_flows import FEATURES, FLOWS, context_for, swapped
from transform_contract import jacobian_logabsdet

every_flow = pytest.mark.parametrize("name", FLOWS)


@pytest.fixture
def flow_and_data(name, float64):
    flow = randomize(swapped(name), 0.1).double()
    return flow, torch.randn(6, FEATURES), context_for(name, 6)


@every_flow
def test_decode_inverts_encode_in_both_orders(flow_and_data):
    flow, x, context = flow_and_data
    torch.testing.assert_close(decode(flow, encode(flow, x, context), context), x, rtol=0, atol=1e-8)
    torch.testing.assert_close(encode(flow, decode(flow, x, context), context), x, rtol=0, atol=1e-8)


@every_flow
def test_encode_is_nflows_transform_to_noise(flow_and_data):
    flow, x, context = flow_and_data
    assert torch.equal(encode(flow, x, context), flow.transform_to_noise(x, context))


@every_flow
def test_log_determinant_is_that_of_autograds_jacobian_of_the_encoder(flow_and_data):
    flow, x, context = flow_and_data
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    assert torch.equal(z, encode(flow, x, context))

    def encoder(row, row_context):
        return encode_with_logabsdet(flow, row, row_context)

    torch.testing.assert_close(logabsdet, jacobian_logabsdet(encoder, x, context), rtol=0, atol=1e-9)
    torch.testing.assert_close(logabsdet + base_of(flow).log_prob(z), flow.log_prob(x, context))


@every_flow
def test_samples_of_the_flow_are_decoded_samples_of_its_base(flow_and_data):
    flow, _, context = flow_and_data
    torch.manual_seed(5)
    samples = flow.sample(4, context)
    torch.manual_seed(5)
    latents = base_of(flow).sample(4, context)
    if context is not None:
        samples, latents, context = samples.flatten(0, 1), latents.flatten(0, 1), context.repeat_interleave(4, dim=0)
    torch.testing.assert_close(decode(flow, latents, context), samples)


def test_the_embedding_net_is_run_on_the_context():
    flow = swapped("conditional flow with an embedding net")
    x, context = torch.randn(2, 5, FEATURES)[0], torch.randn(5, 2)
    before = encode(flow, x, context)
    with torch.no_grad():
        flow._embedding_net[0].weight.mul_(-2.0)
    assert not torch.allclose(encode(flow, x, context), before)


def test_base_of_is_the_distribution_the_flow_was_built_with():
    base = DegenerateGaussian([4])
    assert base_of(coupling_flow(4, layers=1, base=base)) is base
    normal = StandardNormal([4])
    assert base_of(coupling_flow(4, layers=1, base=normal)) is normal


def test_a_subclass_from_anywhere_is_a_flow_of_its_host():
    class Mine(Flow):
        """A user's subclass, whose own module is not nflows."""

    built = coupling_flow(2, layers=2)
    flow = Mine(built._transform, built._distribution)
    x = torch.randn(3, 2)
    assert torch.equal(encode(flow, x), encode(built, x))


@pytest.mark.parametrize("unknown", [nn.Linear(2, 2), StandardNormal([2])], ids=["no flow", "no flow of nflows"])
def test_an_unknown_host_is_refused(unknown):
    for call in (base_of, lambda flow: encode(flow, torch.zeros(1, 2)), lambda flow: decode(flow, torch.zeros(1, 2))):
        with refused(TypeError, "flow must be a flow of one of: nflows", type(unknown).__name__):
            call(unknown)


def test_a_transform_in_the_place_of_its_flow_is_refused_with_the_call_that_takes_it():
    with refused(TypeError, "got CompositeTransform of nflows", "build nflows.flows.Flow(layer, DegenerateGaussian"):
        encode(coupling_flow(2, layers=2)._transform, torch.zeros(1, 2))


def test_arrays_are_refused_before_they_reach_a_host():
    flow = coupling_flow(2, layers=2)
    for call, name in ((encode, "x"), (decode, "z")):
        with refused(TypeError, f"{name} must be a torch.Tensor, got ndarray", "torch.as_tensor"):
            call(flow, torch.zeros(1, 2).numpy())


def test_context_of_another_length_is_refused():
    flow = swapped("conditional flow with an embedding net")
    for call in (encode, decode):
        with refused(ValueError, "one row for each of the 5 inputs", "got 4"):
            call(flow, torch.zeros(5, FEATURES), torch.zeros(4, 2))


@every_flow
def test_swapping_the_base_keeps_the_transform_and_the_flow_that_was_given(flow_and_data):
    flow, x, context = flow_and_data
    before, base = base_of(flow), DegenerateGaussian([FEATURES], spread_variance=0.5)
    counterpart = swap_base(flow, base)
    assert base_of(counterpart) is base
    assert base_of(flow) is before
    assert torch.equal(encode(counterpart, x, context), encode(flow, x, context))
    shared = {id(p) for p in flow.parameters()} & {id(p) for p in counterpart.parameters()}
    assert len(shared) == len(list(counterpart.parameters())) - 1  # all but the new factor


@pytest.mark.parametrize("base", ["abc", DegenerateGaussian])
def test_a_base_that_is_no_module_is_refused(base):
    with refused(TypeError, "base must be a distribution that is an nn.Module"):
        swap_base(coupling_flow(3, layers=2), base)


def test_a_context_that_is_missing_too_wide_or_not_asked_for_is_told_by_its_shape():
    x, context = torch.zeros(4, 3), torch.zeros(4, 2)
    embedded = Flow(coupling_flow(3, layers=2, context_features=5)._transform, DegenerateGaussian([3]), nn.Linear(2, 5))
    for read in (encode, decode):
        with refused(ValueError, "of shape (4, 3) and no context, of which a layer says", "pass one, (n, features)"):
            read(embedded, x)
        with refused(ValueError, "of shape (4, 3) and a context of shape (4, 4), of which a layer says"):
            read(embedded, x, torch.cat([context, context], 1))
        with refused(
            ValueError, "and a context of shape (4, 2), of which a layer says", "to a flow that was built for one"
        ):
            read(SimpleRealNVP(3, 8, 2, 1).eval(), x, context)
        assert read(embedded, x, context).shape == (4, 3)


@pytest.mark.parametrize("read", [decode, encode])
def test_what_a_linear_layer_keeps_of_older_parameters_is_not_asked(read):
    flow = Flow(LULinear(3, using_cache=True), DegenerateGaussian([3])).eval()
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        read(flow, x)
        flow.load_state_dict(flow.state_dict() | {"_transform.bias": torch.ones(3)})
        flow._transform.lower_entries.fill_(2.0)
        weight = flow._transform.weight()
        expected = x @ weight.mT + 1.0 if read is encode else torch.linalg.solve(weight, (x - 1.0).mT).mT
        torch.testing.assert_close(read(flow, x), expected, rtol=1e-4, atol=1e-4)
