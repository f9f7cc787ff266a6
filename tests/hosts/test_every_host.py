"""Loss, read-outs, saving, dtype and device, for every model of every host."""

from __future__ import annotations

import copy
import io
from functools import partial

import nflows.flows
import pytest
import torch
from nflows.transforms import (
    LULinear,
)

import nflows_spread.models
from host_models import APPROXIMATE, MODELS, NOT_SUPPORTED, PROMISED, inputs_for, spread_flow
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    intrinsic_dimension,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
    spectrum,
    volume_error,
)
from nflows_spread.dimension.rules import decide
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.hosts.registry import registered_packages
from support import assert_same_state
from transform_contract import jacobian_logabsdet

every_model = pytest.mark.parametrize("name", MODELS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def generator(device="cpu"):
    return torch.Generator(device).manual_seed(3)


# that the list is complete


def test_every_promised_model_is_in_the_list():
    assert set(MODELS) >= PROMISED


def test_every_builder_is_in_the_list():
    builders = {name for name in nflows_spread.models.__all__ if callable(getattr(nflows_spread.models, name))}
    builders = {name for name in builders if not name.startswith("initialize")}  # those start a model that is there
    assert {f"nflows_spread: {name}" for name in builders} <= set(MODELS)


def test_every_known_host_is_in_the_list():
    assert set(registered_packages()) <= {name.partition(":")[0] for name in MODELS}


def test_every_flow_class_of_nflows_is_in_the_list():
    exported = {kind for kind in vars(nflows.flows).values() if isinstance(kind, type)}
    assert exported <= {type(MODELS[name].build()) for name in MODELS if name.startswith("nflows")}


def test_every_flow_class_of_normflows_is_in_the_list_or_refused_by_name():
    core = pytest.importorskip("normflows").core
    exported = {kind for kind in vars(core).values() if isinstance(kind, type) and kind.__module__ == core.__name__}
    built = {type(MODELS[name].build()).__name__ for name in MODELS if name.startswith("normflows")}
    refused = {name for name in NOT_SUPPORTED if hasattr(core, name)}
    assert {kind.__name__ for kind in exported} == built | refused


def test_every_flow_class_of_zuko_is_in_the_list_or_refused_by_name():
    flows = pytest.importorskip("zuko").flows
    exported = {name for name, kind in vars(flows).items() if isinstance(kind, type) and name[:4] != "Lazy"}
    exported = {name for name in exported if issubclass(getattr(flows, name), flows.LazyDistribution)}
    built = {type(MODELS[name].build()).__name__ for name in MODELS if name.startswith("zuko")}
    others = {name for name in NOT_SUPPORTED | APPROXIMATE | {"UnconditionalDistribution"} if hasattr(flows, name)}
    assert exported == built | others


# what holds for each of its models


@every_model
def test_decode_inverts_encode_in_both_orders(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 5)
    z = encode(flow, x, context)
    torch.testing.assert_close(decode(flow, z, context), x, rtol=0, atol=1e-7)
    torch.testing.assert_close(encode(flow, decode(flow, z + 0.1, context), context), z + 0.1, rtol=0, atol=1e-7)


@every_model
def test_read_outs_are_the_same_where_gradients_are_off(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 12)
    for read_out in (
        lambda: spectrum(flow, x, context=context, data_noise=0.1, generator=generator()).signal_to_noise,
        lambda: reconstruct(flow, x, rank=2, context=context),
        lambda: manifold_log_prob(flow, x, rank=2, context=context),
        lambda: torch.tensor(volume_error(flow, x, context=context)),
    ):
        expected = read_out().detach()
        for mode in (torch.no_grad, torch.inference_mode):
            with mode():
                torch.testing.assert_close(read_out(), expected)


@every_model
def test_doubles_for_a_float32_flow_are_refused_with_the_remedy_or_taken(name):
    flow, (x, context) = spread_flow(name, torch.float32), inputs_for(name, 5)
    context = None if context is None else context.float()
    z = encode(flow, x.float(), context)
    expected = {"x": z, "z": decode(flow, z, context)}
    for argument, expected, passed in (
        ("x", z, partial(encode, flow, x, context)),
        ("z", decode(flow, z, context), partial(decode, flow, z.double(), context)),
    ):
        found = outcome_of(passed)
        if isinstance(found, TypeError):
            assert f"got torch.float64 on cpu; pass {argument}.to(torch.float32)" in str(found)
        else:
            torch.testing.assert_close(found.double(), expected.double(), rtol=1e-4, atol=1e-4)


def outcome_of(call):
    """What a call returns, or the ``TypeError`` that it raises."""
    try:
        return call()
    except TypeError as error:
        return error


def test_what_else_torch_cannot_compute_keeps_its_message():
    flow = nflows.flows.Flow(LULinear(3), DegenerateGaussian([3]))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        encode(flow, torch.randn(4, 5))


@every_model
def test_the_log_determinant_is_that_of_autograds_jacobian_of_the_encoder(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 3)
    logabsdet = encode_with_logabsdet(flow, x, context)[1]
    expected = jacobian_logabsdet(partial(encode_with_logabsdet, flow), x, context)
    torch.testing.assert_close(logabsdet, expected, rtol=0, atol=1e-8)
    ours = name.startswith("nflows_spread") and name != "nflows_spread: density_flow"  # whose scales are free
    if "volume-preserving" in name or ours:
        assert expected.abs().max() <= 1e-9


@every_model
@pytest.mark.parametrize("data_noise", [0.0, 0.1])
@pytest.mark.filterwarnings("ignore:this flow does not preserve volume")
def test_the_loss_is_algorithm_1_with_the_log_determinant_kept(name, data_noise):
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    base, draws = base_of(flow), generator()
    loss = SpreadKLLoss(flow, data_noise=data_noise, generator=generator())(x, context)
    noisy = x if data_noise == 0 else x + data_noise * torch.empty_like(x).normal_(generator=draws)
    z, logabsdet = encode_with_logabsdet(flow, noisy, context)
    spread = z.flatten(1) + base.spread_variance.sqrt() * torch.empty_like(z).normal_(generator=draws).flatten(1)
    covariance = base.covariance + base.spread_variance * torch.eye(base.features, dtype=torch.float64)
    prior = torch.distributions.MultivariateNormal(torch.zeros(base.features, dtype=torch.float64), covariance)
    torch.testing.assert_close(loss, -(prior.log_prob(spread) + logabsdet).mean(), rtol=1e-9, atol=0)


@every_model
def test_the_loss_falls_in_training_and_every_gradient_is_finite(name):
    flow, (x, context) = spread_flow(name, torch.float32), inputs_for(name, 64, torch.float32)
    objective = SpreadKLLoss(flow.train(), data_noise=0.1)
    optimizer = torch.optim.Adam(objective.parameters(), lr=5e-3)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = objective(x, context)
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in flow.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert base_of(flow).factor.entries.grad.abs().sum() > 0
    assert sum(losses[-5:]) < sum(losses[:5])


@every_model
def test_every_read_out_works(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 40)
    features = MODELS[name].features
    found = spectrum(flow, x, context=context, data_noise=0.1, generator=generator())
    assert found.eigenvalues.shape == found.signal_to_noise.shape == (features,)
    assert torch.isfinite(found.signal_to_noise).all()
    dimension = intrinsic_dimension(flow, x, context=context, data_noise=0.1, generator=generator())
    assert dimension == decide(found)
    for rank in (1, features):
        assert project(flow, x, rank=rank, context=context).shape == (len(x), rank)
        assert torch.isfinite(manifold_log_prob(flow, x, rank=rank, context=context)).all()
        drawn = sample(flow, len(x), rank=rank, context=context)
        assert drawn.shape == x.shape
        again = reconstruct(flow, drawn, rank=rank, context=context)
        torch.testing.assert_close(again, drawn, rtol=0, atol=1e-5)
    full = reconstruct(flow, x, rank=features, context=context)
    torch.testing.assert_close(full, x, rtol=0, atol=1e-6)


@every_model
def test_saved_and_copied_models_give_the_same_loss(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    base_of(flow).data_noise = 0.1
    file = io.BytesIO()
    torch.save(flow.state_dict(), file)
    file.seek(0)
    fresh = spread_flow(name)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    losses = []
    for each in (flow, fresh, copy.deepcopy(flow)):
        assert_same_state(each.state_dict(), flow.state_dict())
        assert base_of(each).data_noise == 0.1
        losses.append(SpreadKLLoss(each, data_noise=0.1, generator=generator())(x, context))
    assert torch.equal(losses[0], losses[1])
    assert torch.equal(losses[0], losses[2])


@every_model
@every_dtype
def test_everything_keeps_the_dtype(name, dtype):
    flow, (x, context) = spread_flow(name, dtype), inputs_for(name, 6, dtype)
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    results = [z, logabsdet, decode(flow, z, context), SpreadKLLoss(flow, data_noise=0.1)(x, context)]
    results += [f(flow, x, rank=2, context=context) for f in (project, reconstruct, manifold_log_prob)]
    results += [sample(flow, 6, rank=2, context=context)]
    assert {result.dtype for result in results} == {dtype}
    assert {p.dtype for p in flow.parameters()} == {dtype}


@every_model
@pytest.mark.parametrize(
    "device",  # where there is no other device than the CPU, the tests above show what this one does
    [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=NO_CUDA)],
)
def test_everything_is_where_the_flow_is(name, device):
    flow = spread_flow(name, torch.float32).to(device).train()
    x, context = (None if t is None else t.to(device) for t in inputs_for(name, 6, torch.float32))
    loss = SpreadKLLoss(flow, data_noise=0.1, generator=generator(device))(x, context)
    loss.backward()
    results = [loss, *(p.grad for p in flow.parameters() if p.grad is not None)]
    results += [f(flow, x, rank=2, context=context) for f in (project, reconstruct, manifold_log_prob)]
    results += [sample(flow, 6, rank=2, context=context, generator=generator(device))]
    assert {result.device.type for result in results} == {device}
    found = spectrum(flow, x, context=context, data_noise=0.1, generator=generator(device))
    assert found.eigenvalues.device.type == found.signal_to_noise.device.type == "cpu"


@every_model
def test_encoding_changes_neither_the_data_nor_the_flow(name):
    flow, (x, context) = spread_flow(name), inputs_for(name, 5)
    before, state = x.clone(), copy.deepcopy(flow.state_dict())
    encode(flow, x, context)
    decode(flow, encode(flow, x, context), context)
    assert torch.equal(x, before)
    assert_same_state(flow.state_dict(), state)
