"""FrEIA's networks as the transform of a flow: inverse, log-determinant, read-outs, saving, volume."""

from __future__ import annotations

import pytest
import torch
from nflows.flows import Flow
from torch import nn

from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    decode,
    encode,
    intrinsic_dimension,
    manifold_log_prob,
    sample,
    to_volume_preserving,
    volume_error,
)
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.training import fit, load_model, save_model
from nflows_spread.transforms.freia import FrEIATransform
from support import assert_same_state, refused
from transform_contract import jacobian_logabsdet

framework = pytest.importorskip("FrEIA.framework", reason="needs FrEIA, of the extra bench")
modules = pytest.importorskip("FrEIA.modules")

FEATURES, CONTEXT = 4, 2


def net(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))


def sequence(block="AllInOneBlock", **options):
    network = framework.SequenceINN(FEATURES)
    for _ in range(2):
        network.append(getattr(modules, block), subnet_constructor=net, **options)
        network.append(modules.PermuteRandom, seed=0)
    return network


def graph():
    nodes = [framework.InputNode(FEATURES)]
    condition = framework.ConditionNode(CONTEXT)
    for _ in range(2):
        block = {"subnet_constructor": net}
        nodes.append(framework.Node(nodes[-1], modules.RNVPCouplingBlock, block, conditions=condition))
    return framework.GraphINN([*nodes, condition, framework.OutputNode(nodes[-1])])


NETWORKS = {
    "sequence": (sequence, None),
    "sequence, conditional": (lambda: sequence(cond=0, cond_shape=(CONTEXT,)), CONTEXT),
    "graph, conditional": (graph, CONTEXT),
    "incompressible": (lambda: sequence("GINCouplingBlock"), None),
}


def flow_of(name, dtype=torch.float64):
    flow = Flow(FrEIATransform(NETWORKS[name][0]()), DegenerateGaussian([FEATURES]))
    with torch.no_grad():
        for parameter in flow.parameters():
            if parameter.requires_grad:  # FrEIA's permutations and their inverses are parameters too
                parameter.add_(0.05 * torch.randn_like(parameter))
    return flow.to(dtype).eval()


def inputs_for(name, rows, dtype=torch.float64):
    width = NETWORKS[name][1]
    x = torch.randn(rows, FEATURES, dtype=dtype)
    return x, None if width is None else torch.randn(rows, width, dtype=dtype)


every_network = pytest.mark.parametrize("name", NETWORKS)


@every_network
def test_it_inverts_with_the_log_determinant_of_autograd(name):
    flow, (x, context) = flow_of(name), inputs_for(name, 5)
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    torch.testing.assert_close(decode(flow, z, context), x, rtol=0, atol=1e-8)
    expected = jacobian_logabsdet(lambda rows, given: encode_with_logabsdet(flow, rows, given), x, context)
    torch.testing.assert_close(logabsdet, expected, rtol=0, atol=1e-8)
    torch.testing.assert_close(flow._transform.inverse(z, context)[1], -logabsdet, rtol=0, atol=1e-8)


@every_network
def test_it_trains_and_has_every_read_out(name):
    flow, (x, context) = flow_of(name, torch.float32), inputs_for(name, 60, torch.float32)
    objective = SpreadKLLoss(flow, data_noise=0.1)
    losses = []
    optimizer = torch.optim.Adam(flow.parameters(), lr=1e-2)
    for _ in range(20):
        loss = objective(x, context)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert intrinsic_dimension(flow, x, context=context) in range(1, FEATURES + 1)
    assert manifold_log_prob(flow, x, rank=2, context=context).isfinite().all()
    assert sample(flow, 60, rank=2, context=context).shape == x.shape


def test_an_incompressible_network_preserves_volume_and_conversion_names_the_others():
    assert volume_error(flow_of("incompressible"), inputs_for("incompressible", 5)[0]) < 1e-10
    assert volume_error(flow_of("sequence"), inputs_for("sequence", 5)[0]) > 1e-3
    with refused(ValueError, "the layer at '_transform' (FrEIATransform)", "not known to preserve volume"):
        to_volume_preserving(flow_of("sequence"))


def built(base):
    return Flow(FrEIATransform(sequence()), base)


def test_it_is_fitted_saved_and_loaded(tmp_path):
    flow, x = built(DegenerateGaussian([FEATURES])), torch.randn(50, FEATURES)
    fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=3, batch_size=10, progress=False)
    save_model(tmp_path / "flow.pt", flow, build=built, config={})
    again = load_model(tmp_path / "flow.pt", build=built)
    assert_same_state(again.state_dict(), flow.state_dict())
    torch.testing.assert_close(encode(again, x), encode(flow.eval(), x))


def test_what_is_no_module_is_refused():
    with refused(TypeError, "network must be a SequenceINN or GraphINN of FrEIA", "build it first"):
        FrEIATransform(lambda x: x)
