"""to_volume_preserving for whole flows of normflows, and the layers that it refuses."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import nflows_spread.transforms as ours
from host_models import FEATURES, IMAGE, MODELS, inputs_for, mlp
from nflows_spread import DegenerateGaussian, encode, initialize, swap_base, to_volume_preserving, volume_error
from support import assert_same_state, randomize, refused

nf = pytest.importorskip("normflows", reason="needs the extra normflows")

pytestmark = pytest.mark.usefixtures("float64")


def masked(mask, with_shift=True, with_scale=True):
    net = [mlp(FEATURES, FEATURES) if wanted else None for wanted in (with_shift, with_scale)]
    return nf.flows.MaskedAffineFlow(torch.tensor(mask), *net)


@pytest.mark.parametrize("name", ["normflows: Glow", "normflows: Real NVP"])
@pytest.mark.parametrize("swapped_first", [True, False])
def test_whole_flows_are_converted_before_or_after_the_base_is_swapped(name, swapped_first):
    model, x = MODELS[name], inputs_for(name, 4)[0]
    flow = randomize(model.build(), 0.2)
    base = DegenerateGaussian([model.features])
    converted = to_volume_preserving(swap_base(flow, base)) if swapped_first else to_volume_preserving(flow)
    whole = converted if swapped_first else swap_base(converted, base)
    assert type(converted) is type(swap_base(flow, base) if swapped_first else flow)
    assert volume_error(whole, x) < 1e-9
    initialize(whole, x)
    assert volume_error(whole, x) < 1e-9
    assert torch.isfinite(whole.forward_kld(x.clone()))


def test_an_untrained_glow_is_set_by_initialize_and_by_nothing_else():
    flow = to_volume_preserving(swap_base(MODELS["normflows: Glow"].build(), DegenerateGaussian([16])))
    x = 3.0 + torch.randn(20, *IMAGE)
    before = copy.deepcopy(flow.state_dict())
    flow.sample(5)
    encode(flow, x)
    assert_same_state(flow.state_dict(), before)
    assert initialize(flow, x) == 2
    assert any(isinstance(layer, ours.VolumePreservingActNorm) for layer in flow.modules())


REFUSED = {
    "batch norm": (lambda: nf.flows.BatchNorm(), "statistics of the data"),
    "spline coupling": (lambda: nf.flows.CoupledRationalQuadraticSpline(FEATURES, 1, 4), "slope of its own"),
    "autoregressive spline": (
        lambda: nf.flows.AutoregressiveRationalQuadraticSpline(FEATURES, 1, 4),
        "slope of its own",
    ),
    "autoregressive": (lambda: nf.flows.MaskedAffineAutoregressive(FEATURES, 8), "one after the other"),
    "planar": (lambda: nf.flows.Planar((FEATURES,)), "each point by another amount"),
    "radial": (lambda: nf.flows.Radial((FEATURES,)), "each point by another amount"),
    "logit": (lambda: nf.transforms.Logit(), "each point by another amount"),
    "class-conditional": (lambda: nf.flows.CCAffineConst(FEATURES, 2), "depends on a class"),
    "stochastic": (lambda: nf.flows.MetropolisHastings(None, None, 1), "random"),
    "periodic": (lambda: nf.flows.PeriodicShift([0]), "wraps"),
    "a mask with nothing to transform": (lambda: masked([1.0, 1.0, 1.0]), "b must be 0 somewhere"),
    "an unknown scale map": (
        lambda: nf.flows.AffineCouplingBlock(mlp(2, 4), scale_map="softplus"),
        "scale_map must be",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_layers_are_refused_by_their_path_with_a_reason(name):
    build, reason = REFUSED[name]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(FEATURES), [masked([1.0, 0.0, 1.0]), build(), build()])
    with refused(ValueError, "the layer at 'flows.1", "cannot be made volume-preserving", reason):
        to_volume_preserving(flow)


def test_a_layer_of_a_users_own_is_refused():
    class Mine(nf.flows.Flow):
        """A layer that nobody knows."""

    with refused(ValueError, "Mine cannot", "it is not known to preserve volume"):
        to_volume_preserving(Mine())


def test_a_distribution_or_net_is_no_transform():
    for unknown in (nf.distributions.DiagGaussian(2), nf.nets.MLP([2, 2]), nn.ModuleList()):
        with refused(TypeError, "transform must be a transform or flow", type(unknown).__name__):
            to_volume_preserving(unknown)
