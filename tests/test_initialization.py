"""First values from data: layers of any kind that can take some, and the prior that starts where the latents are."""

from __future__ import annotations

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import ActNorm, CompositeTransform, InverseTransform, Transform
from torch import nn

from nflows_spread import (
    DegenerateGaussian,
    encode,
    initialize,
)
from nflows_spread.hosts.first_batch import layers_waiting_for_a_batch
from nflows_spread.transforms import ExplicitActNorm, LeadingFeatures
from support import refused

FEATURES = 4


@pytest.fixture
def x(float64):
    return 0.01 * torch.randn(600, FEATURES) @ torch.randn(FEATURES, FEATURES) + 0.3


class Whitening(Transform):
    """A user's layer, which divides by the deviation of all its data; it notes what it has seen."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.seen = []

    def initialize(self, inputs):
        self.seen.append(inputs.clone())
        self.log_scale.copy_(-inputs.std().log())

    def forward(self, inputs, context=None):
        return inputs * self.log_scale.exp(), inputs.new_zeros(len(inputs)) + FEATURES * self.log_scale

    def inverse(self, inputs, context=None):
        return inputs * (-self.log_scale).exp(), inputs.new_zeros(len(inputs)) - FEATURES * self.log_scale


class Failing(Whitening):
    def initialize(self, inputs):
        super().initialize(inputs)
        raise RuntimeError("no such luck")


class Remade(Whitening):
    """It puts everything else in its place, notes it in attributes and buffers of all kinds, and then fails or not."""

    def __init__(self, fails=False):
        super().__init__()
        self.fails, self.is_initialized = fails, False
        self.register_buffer("unsaved", torch.zeros(2), persistent=False)

    def initialize(self, inputs):
        self.log_scale = nn.Parameter(torch.ones(1))
        self.unsaved += 1.0
        self.register_buffer("more", torch.ones(1))
        self.net = nn.Linear(1, 1)
        self.is_initialized = True
        if self.fails:
            raise RuntimeError("no such luck")


class Undecided(Whitening):
    @property
    def initialize(self):
        raise AttributeError("of another setting")


class Settled(Whitening):
    is_initialized = True


class Otherwise(Whitening):
    """What it calls ``initialize`` is something else."""

    def initialize(self, deviation=1.0):
        raise AssertionError(deviation)


def of_nflows(*layers):
    return Flow(CompositeTransform(layers), DegenerateGaussian([FEATURES]))


def of_normflows(*layers):
    """The same map of the same layers as normflows' own, which run the other way."""
    nf = pytest.importorskip("normflows", reason="needs the extra normflows")

    def of_this_host(layer):
        if not isinstance(layer, Whitening):
            return nf.flows.ActNorm(FEATURES)
        kind = type(layer)
        turned = type(
            kind.__name__,
            (kind, nf.flows.Flow),
            {
                "forward": lambda self, z: kind.inverse(self, z),
                "inverse": lambda self, z: kind.forward(self, z),
            },
        )
        return turned()

    return nf.NormalizingFlow(DegenerateGaussian([FEATURES]), [of_this_host(layer) for layer in reversed(layers)])


def of_zuko(*layers):
    """The same as lazy transforms, which only give what maps data to latents."""
    zuko = pytest.importorskip("zuko", reason="needs the extra zuko")
    from nflows_spread.transforms.zuko import LazyNflowsTransform

    def of_this_host(layer):
        if not isinstance(layer, Whitening):
            return LazyNflowsTransform(ActNorm(FEATURES))
        kind, affine = type(layer), torch.distributions.AffineTransform
        lazy = {"forward": lambda self, c=None: affine(0.0, self.log_scale.exp(), event_dim=1)}
        return type(kind.__name__, (kind, zuko.lazy.LazyTransform), lazy)()

    return zuko.flows.Flow([of_this_host(layer) for layer in layers], DegenerateGaussian([FEATURES]))


every_host = pytest.mark.parametrize("host", [of_nflows, of_normflows, of_zuko])


def whitening_of(flow):
    return next(module for module in flow.modules() if isinstance(module, Whitening))


@every_host
@pytest.mark.parametrize("training", [True, False])
def test_a_layer_of_ones_own_is_set_by_what_arrives_at_it(host, training, x):
    flow = host(ActNorm(FEATURES), Whitening(), ActNorm(FEATURES)).train(training)
    x = 3.0 + x
    assert initialize(flow, x) == 3
    (seen,) = whitening_of(flow).seen
    torch.testing.assert_close(seen, (x - x.mean(0)) / x.std(0))
    z = encode(flow, x).detach()
    torch.testing.assert_close(z.std(0), torch.ones(FEATURES))
    assert all("forward" not in vars(layer) and "inverse" not in vars(layer) for layer in flow.modules())


@every_host
@pytest.mark.parametrize("training", [True, False])
def test_if_one_layer_fails_all_are_as_they_were(host, training, x):
    flow = host(ActNorm(FEATURES), Whitening(), Failing(), ActNorm(FEATURES)).train(training)
    with refused(RuntimeError, "no such luck", unchanged=flow):
        initialize(flow, x)
    assert len(layers_waiting_for_a_batch(flow)) == 2


def test_layers_become_what_they_were_whatever_they_have_changed():
    layers = Remade(), Whitening(), Remade(fails=True)
    flow = of_nflows(*layers)
    before = [dict(vars(layer)) for layer in layers]
    with refused(RuntimeError, "no such luck", unchanged=flow):
        initialize(flow, torch.randn(20, FEATURES))
    assert [dict(vars(layer)) for layer in layers] == before
    assert not any(isinstance(module, nn.Linear) for module in flow.modules())
    assert torch.equal(layers[0].unsaved, torch.zeros(2))


def test_a_method_of_the_object_stays(x):
    layer, passed = ActNorm(FEATURES), []

    def forward(inputs, context=None):
        passed.append(len(inputs))
        return ActNorm.forward(layer, inputs, context)

    layer.forward = forward
    assert initialize(of_nflows(layer), x) == 1
    assert layer.forward is forward
    assert passed


def test_a_property_without_a_value_is_no_method(x):
    assert initialize(of_nflows(Undecided(), Whitening()), x) == 1


@every_host
def test_layers_are_set_that_have_the_method_and_are_not_settled_or_are_asked_for(host, x):
    flow = host(Otherwise(), Settled(), Whitening())
    assert initialize(flow, x) == 1
    assert initialize(flow, 2.0 * x) == 1  # nothing says that it is settled
    assert initialize(flow, x, only=Settled) == 1
    assert initialize(flow, x, only=(Otherwise, ExplicitActNorm)) == 0
    times = {type(layer).__name__: len(layer.seen) for layer in flow.modules() if isinstance(layer, Whitening)}
    assert times == {"Otherwise": 0, "Settled": 1, "Whitening": 2}


def test_where_no_layer_is_of_the_class_no_data_is_passed(x):
    flow = of_nflows(ExplicitActNorm(FEATURES))
    assert initialize(flow, x[:, :2], only=Whitening) == 0
    with refused(ValueError, "inputs must have shape", unchanged=flow):
        initialize(flow, x[:, :2])


def test_layers_that_are_not_asked_for_go_on_waiting(x):
    flow = of_nflows(ActNorm(FEATURES), Whitening()).train()
    assert initialize(flow, x, only=Whitening) == 1
    assert list(layers_waiting_for_a_batch(flow).values()) == [flow._transform._transforms[0]]
    assert torch.equal(whitening_of(flow).seen[0], x)


def test_a_net_within_a_layer_takes_part_and_a_layer_that_runs_the_other_way_round_does_not(x):
    held, turned = Whitening(), Whitening()
    flow = of_nflows(LeadingFeatures(held, 2), InverseTransform(turned))
    assert initialize(flow, x) == 1
    assert torch.equal(held.seen[0], x[:, :2])
    assert not turned.seen


def test_a_layer_that_is_used_twice_is_set_once(x):
    layer = Whitening()
    assert initialize(of_nflows(layer, layer), x) == 1
    assert len(layer.seen) == 1


@every_host
def test_a_flow_whose_class_has_such_a_method_is_no_layer(host, x):
    flow = host(Whitening(), ActNorm(FEATURES))
    flow.__class__ = type("Own", (type(flow),), {"initialize": lambda self, inputs: 1 / 0})
    assert initialize(flow, x) == 2


def test_what_is_asked_for_must_be_a_class(x):
    with refused(TypeError, "only must be a class of layers", "got 'ActNorm'"):
        initialize(of_nflows(Whitening()), x, only="ActNorm")
