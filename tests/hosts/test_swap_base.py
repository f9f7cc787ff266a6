"""swap_base: the flow stays what it was but for its base, and the base comes to the flow."""

from __future__ import annotations

import copy

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow, SimpleRealNVP
from nflows.transforms import IdentityTransform
from torch import nn

from host_models import FEATURES, IMAGE, MODELS, inputs_for
from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, decode, encode, sample, swap_base
from nflows_spread.factors import LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from support import refused

every_model = pytest.mark.parametrize("name", MODELS)
FACTORS = [None, LowRankFactor.of_rank(2), RunningAverageFactor, SpreadCholeskyFactor]


def base_for(name, factor=None):
    given = {} if factor is None else {"factor": factor}
    return DegenerateGaussian([MODELS[name].features], **given)


@every_model
@pytest.mark.parametrize("training", [True, False])
def test_class_and_mode_are_kept(name, training):
    flow = MODELS[name].build().train(training)
    counterpart = swap_base(flow, base_for(name))
    kept = type(flow).__name__ != "MultiscaleFlow"
    assert type(counterpart).__name__ == (type(flow).__name__ if kept else "NormalizingFlow")
    assert {module.training for module in counterpart.modules()} == {training}


@every_model
@pytest.mark.parametrize(
    ("before", "after"),  # the test below goes the other way, with one model
    [("float32", "float64"), pytest.param("float64", "float32", marks=pytest.mark.slow)],
)
def test_the_base_takes_the_dtype_of_the_flow(name, before, after):
    before, after = getattr(torch, before), getattr(torch, after)
    flow = swap_base(MODELS[name].build().to(after), base_for(name).to(before)).eval()
    x, context = inputs_for(name, 6, after)
    SpreadKLLoss(flow, data_noise=0.1)(x, context).backward()
    assert {parameter.dtype for parameter in base_of(flow).parameters()} == {after}
    assert sample(flow, 6, rank=2, context=context).dtype == after


@pytest.mark.parametrize("factor", FACTORS, ids=str)
@pytest.mark.parametrize(("before", "after"), [("float32", "float64"), ("float64", "float32")])
def test_a_base_of_every_kind_of_factor_follows(factor, before, after):
    before, after = getattr(torch, before), getattr(torch, after)
    name = "nflows: SimpleRealNVP"
    flow = swap_base(MODELS[name].build().to(after), base_for(name, factor).to(before))
    assert flow.sample(5).dtype == after
    assert flow.sample(5).shape == (5, FEATURES)


def test_the_base_takes_the_device_of_the_flow():
    flow = SimpleRealNVP(FEATURES, 8, num_layers=2, num_blocks_per_layer=1).to("meta")
    assert {p.device.type for p in base_of(swap_base(flow, DegenerateGaussian([FEATURES]))).parameters()} == {"meta"}


def test_a_flow_without_parameters_passes_on_the_dtype_of_its_old_base():
    old = Flow(IdentityTransform(), DegenerateGaussian([2]).double())
    assert swap_base(old, DegenerateGaussian([2])).sample(3).dtype == torch.float64
    base = DegenerateGaussian([2]).double()
    assert swap_base(Flow(IdentityTransform(), StandardNormal([2])), base).sample(3).dtype == torch.float64


def test_constants_that_a_base_has_in_float64_stay_so():
    flow = SimpleRealNVP(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
    base = swap_base(flow, DegenerateGaussian([FEATURES], spread_variance=1e-4))._distribution
    assert base.spread_variance == torch.tensor(1e-4, dtype=torch.float64)
    assert swap_base(flow, StandardNormal([FEATURES]))._distribution._log_z.dtype == torch.float64


class Named(SimpleRealNVP):
    """A user's subclass: a constructor of its own, attributes, a parameter, a second name for the base, a method."""

    def __init__(self, note):
        super().__init__(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
        self.note, self.temperature = note, nn.Parameter(torch.ones(()))
        self.prior, self.notes = self._distribution, [note]

    def tempered(self, x):
        return self.temperature * self.log_prob(x)


def test_a_subclass_keeps_its_attributes_and_methods():
    flow, base, x = Named("mine"), DegenerateGaussian([FEATURES]), torch.randn(5, FEATURES)
    before = dict(vars(flow)), dict(flow._modules), copy.deepcopy(flow.state_dict())
    counterpart = swap_base(flow, base)
    assert isinstance(counterpart, Named)
    assert (counterpart.note, counterpart.temperature, counterpart.notes) == (flow.note, flow.temperature, flow.notes)
    assert counterpart.prior is base_of(counterpart) is base
    torch.testing.assert_close(counterpart.tempered(x), flow.tempered(x), rtol=0, atol=1e-2)  # but for the spread
    counterpart.extra, counterpart.another = 1, nn.Linear(1, 1)
    counterpart.register_buffer("third", torch.ones(1))
    assert (dict(vars(flow)), dict(flow._modules)) == before[:2]
    assert flow.state_dict().keys() == before[2].keys()


class Scored(SimpleRealNVP):
    """Keeps a method of its own among its attributes, and takes an argument when it is made."""

    def __new__(cls, note):
        return super().__new__(cls)

    def __init__(self, note):
        super().__init__(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
        self.score, self.note = self.log_prob, note


def test_a_method_among_the_attributes_is_that_of_the_swapped_flow():
    flow, x = Scored("mine"), torch.randn(5, FEATURES)
    counterpart = swap_base(flow, DegenerateGaussian([FEATURES], spread_variance=1.0))
    assert torch.equal(counterpart.score(x), counterpart.log_prob(x))
    assert torch.equal(flow.score(x), flow.log_prob(x))
    assert not torch.allclose(counterpart.score(x), flow.score(x))


def test_a_subclass_of_normflows_keeps_its_attributes_and_methods():
    nf = pytest.importorskip("normflows")

    class Mine(nf.NormalizingFlow):
        def __init__(self):
            super().__init__(nf.distributions.DiagGaussian(2), [nf.flows.Permute(2)], p=nf.distributions.TwoMoons())
            self.note = "mine"

        def save(self, path):
            raise NotImplementedError

        def twice(self, x):
            return 2.0 * self.log_prob(x)

    flow, x = Mine(), torch.randn(5, 2)
    counterpart = swap_base(flow, DegenerateGaussian([2]))
    assert (type(counterpart), counterpart.note, counterpart.p) == (Mine, "mine", flow.p)
    torch.testing.assert_close(counterpart.twice(x), flow.twice(x), rtol=0, atol=1e-2)


def test_what_the_host_derives_from_a_base_is_derived_from_the_new_one(monkeypatch):
    """Newer nflows looks, when it is built, whether the base takes a context."""
    built = Flow.__init__

    def construct(self, transform, distribution, embedding_net=None):
        built(self, transform, distribution, embedding_net)
        self._context_used_in_base = hasattr(distribution, "factor")

    monkeypatch.setattr(Flow, "__init__", construct)
    flow = SimpleRealNVP(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
    assert (flow._context_used_in_base, swap_base(flow, base_for("nflows: SimpleRealNVP"))._context_used_in_base) == (
        False,
        True,
    )


def test_a_base_that_was_no_module_is_swapped():
    normal = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    flow, base = Flow(IdentityTransform(), normal), DegenerateGaussian([2])
    assert base_of(swap_base(flow, base)) is base
    assert base_of(flow) is normal


def test_what_is_refused_changes_no_base():
    base = DegenerateGaussian([16]).eval()
    flow = MODELS["normflows: Glow"].build().double()
    del flow.q0[0].shape
    with refused(TypeError, "tell the shape of its latents", unchanged=base):
        swap_base(flow, base)
    assert not base.training
    assert base.sample(1).dtype == torch.float32


@pytest.mark.parametrize(("of_flow", "of_base"), [("float64", "float32"), ("float32", "float64")])
def test_a_base_of_another_dtype_that_was_put_in_by_hand_is_named_when_a_sample_fails(of_flow, of_base):
    flow = SimpleRealNVP(FEATURES, 8, num_layers=2, num_blocks_per_layer=1).to(getattr(torch, of_flow))
    mixed = Flow(flow._transform, DegenerateGaussian([FEATURES]).to(getattr(torch, of_base)))
    with refused(
        TypeError, "the base of the flow", f"got a base of torch.{of_base}", f"flow.to('cpu', torch.{of_flow})"
    ):
        decode(mixed, base_of(mixed).sample(5))


def test_data_of_another_dtype_is_named_as_before():
    name = "normflows: Glow"
    flow, z = MODELS[name].build().eval(), torch.randn(3, 16).double()
    with refused(TypeError, "z must have the dtype of the flow", "pass z.to(torch.float32)"):
        decode(flow, z)
    with refused(TypeError, "x must have the dtype of the flow", "pass x.to(torch.float32)"):
        encode(flow, torch.randn(3, *IMAGE).double())
