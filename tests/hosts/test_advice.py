"""Flows that are more than their parts, wrapped flows and flows of forks: each is refused with what to do instead."""

from __future__ import annotations

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow, SimpleRealNVP
from torch import nn
from torch.optim.swa_utils import AveragedModel

from host_models import FEATURES, MODELS
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    base_of,
    decode,
    encode,
    initialize,
    intrinsic_dimension,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
    spectrum,
    swap_base,
    to_volume_preserving,
    volume_error,
)
from support import refused

X = torch.linspace(-1.0, 1.0, 5 * FEATURES).view(5, FEATURES)
CALLS = {
    "base_of": base_of,
    "encode": lambda flow: encode(flow, X),
    "decode": lambda flow: decode(flow, X),
    "swap_base": lambda flow: swap_base(flow, DegenerateGaussian([FEATURES])),
    "SpreadKLLoss": SpreadKLLoss,
    "spectrum": lambda flow: spectrum(flow, X, data_noise=0.1),
    "intrinsic_dimension": lambda flow: intrinsic_dimension(flow, X, data_noise=0.1),
    "project": lambda flow: project(flow, X, rank=1),
    "reconstruct": lambda flow: reconstruct(flow, X, rank=1),
    "manifold_log_prob": lambda flow: manifold_log_prob(flow, X, rank=1),
    "sample": lambda flow: sample(flow, 5, rank=1),
    "volume_error": lambda flow: volume_error(flow, X),
    "initialize": lambda flow: initialize(flow, X),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


def real_nvp():
    return SimpleRealNVP(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)


# more than the parts


class Scaled(SimpleRealNVP):
    def _log_prob(self, inputs, context):
        return super()._log_prob(inputs / 10.0, context)


class Mixin:
    def sample_and_log_prob(self, num_samples, context=None):
        samples, log_prob = super().sample_and_log_prob(num_samples, context)
        return 10.0 * samples, log_prob


class Mixed(Mixin, Flow):
    """What a class that comes before the host's changes counts too."""


class Grandchild(Scaled):
    """And what a class between."""


def patched():
    flow = real_nvp()
    flow._log_prob = lambda inputs, context: -inputs.square().sum(1)
    return flow


def mixed():
    return Mixed(real_nvp()._transform, StandardNormal([FEATURES]))


CHANGED = {
    "subclass": (lambda: Scaled(FEATURES, 8, 2, 1), "_log_prob of Flow"),
    "mixin": (mixed, "sample_and_log_prob of Flow"),
    "grandchild": (lambda: Grandchild(FEATURES, 8, 2, 1), "_log_prob of Flow"),
    "one object": (patched, "_log_prob of Flow"),
}


@every_call
@pytest.mark.parametrize("name", CHANGED)
def test_a_flow_of_nflows_that_changes_its_density_is_refused(name, call):
    build, words = CHANGED[name]
    flow = build()
    with refused(
        TypeError, f"got {type(flow).__qualname__} of {type(flow).__module__}, which changes", words, unchanged=flow
    ):
        call(flow)


@every_call
@pytest.mark.parametrize("method", ["log_prob", "sample", "forward", "inverse", "inverse_and_log_det", "forward_kld"])
@pytest.mark.parametrize("kind", ["NormalizingFlow", "ConditionalNormalizingFlow"])
def test_a_flow_of_normflows_that_changes_its_density_is_refused(kind, method, call):
    nf = pytest.importorskip("normflows")
    changed = type("Changed", (getattr(nf, kind),), {method: lambda self, *args: None})
    flow = changed(nf.distributions.DiagGaussian(FEATURES), [nf.flows.Permute(FEATURES)])
    with refused(TypeError, f"got Changed of {__name__}, which changes {method} of {kind}"):
        call(flow)


def test_a_multiscale_flow_that_changes_its_density_is_refused():
    nf = pytest.importorskip("normflows")
    changed = type("Changed", (nf.MultiscaleFlow,), {"log_prob": lambda self, x, y: x.sum()})
    flow = MODELS["normflows: Glow"].build()
    flow.__class__ = changed
    for call in (lambda: encode(flow, torch.zeros(2, 1, 4, 4)), lambda: swap_base(flow, DegenerateGaussian([16]))):
        with refused(TypeError, "which changes log_prob of MultiscaleFlow"):
            call()


def test_the_conversion_and_the_hosts_agree_about_what_counts():
    class Mine(SimpleRealNVP):
        def __init__(self):
            super().__init__(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
            self.register_buffer("seen", torch.zeros(()))

        def _mean(self, context):
            return torch.zeros(FEATURES)

        def train(self, mode=True):
            return super().train(mode)

        def reverse_kld(self):
            """Of its own."""

    assert volume_error(to_volume_preserving(Mine()), X) < 1e-5
    assert torch.equal(encode(Mine().train(), X).isfinite(), torch.ones_like(X, dtype=torch.bool))
    for flow in (build() for build, _ in CHANGED.values()):
        with refused(ValueError, "it changes"):
            to_volume_preserving(flow)


@pytest.mark.parametrize("method", ["forward", "__call__"])
def test_a_flow_of_nflows_may_give_a_meaning_to_being_called(method):
    """nflows gives it none, and what wraps a flow, as ``DistributedDataParallel`` or Lightning, needs one."""
    called = type("Called", (SimpleRealNVP,), {method: lambda self, x: -self.log_prob(x).mean()})
    flow = called(FEATURES, 8, num_layers=2, num_blocks_per_layer=1)
    counterpart = swap_base(flow, DegenerateGaussian([FEATURES]))
    assert torch.equal(counterpart(X), -counterpart.log_prob(X).mean())
    assert torch.equal(encode(counterpart, X), flow._transform(X)[0])
    assert volume_error(to_volume_preserving(counterpart), X) < 1e-5


def test_a_base_that_changes_the_standard_normal_has_no_spectrum():
    class Wide(StandardNormal):
        def _log_prob(self, inputs, context):
            return super()._log_prob(inputs / 10.0, context)

    with refused(TypeError, "must be a DegenerateGaussian", "got Wide"):
        spectrum(Flow(real_nvp()._transform, Wide([FEATURES])), X, data_noise=0.1)


# wrapped


class Estimator(nn.Module):
    """As sbi's, which has its flow in ``net``."""

    def __init__(self, net):
        super().__init__()
        self.net = net


WRAPPERS = {
    "torch.compile": (lambda flow: torch.compile(flow, backend="eager"), "flow._orig_mod"),
    "DataParallel": (nn.DataParallel, "flow.module"),
    "AveragedModel": (AveragedModel, "flow.module"),
    "estimator": (Estimator, "flow.net"),
    "average of the loss": (lambda flow: AveragedModel(SpreadKLLoss(flow)), "flow.module.flow"),
    "container": (lambda flow: nn.Sequential(nn.Identity(), flow), "flow.get_submodule('1')"),
}


@every_call
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_is_refused_with_the_child_to_pass(name, call):
    wrap, expression = WRAPPERS[name]
    wrapper = wrap(swap_base(real_nvp(), DegenerateGaussian([FEATURES])))
    kind = type(wrapper)
    with refused(TypeError, f"got {kind.__qualname__} of {kind.__module__}; pass {expression}, and compile or wrap"):
        call(wrapper)
    encode(eval(expression, {"flow": wrapper}), X)


@pytest.mark.parametrize("unknown", [None, 3, "flow", Flow, [real_nvp]])
def test_what_is_no_module_is_refused_by_its_class(unknown):
    with refused(TypeError, f"got {type(unknown).__name__} of {type(unknown).__module__}"):
        base_of(unknown)


# of forks


class ForkOfNFlows(nn.Module):
    def __init__(self):
        super().__init__()
        self._transform, self._distribution = real_nvp()._transform, StandardNormal([FEATURES])


class ForkWithEmbedding(ForkOfNFlows):
    def __init__(self):
        super().__init__()
        self._embedding_net = nn.Identity()


def fork_of_normflows():
    nf = pytest.importorskip("normflows")
    fork = nn.Module()
    fork.q0, fork.flows = nf.distributions.DiagGaussian(FEATURES), nn.ModuleList([nf.flows.Permute(FEATURES)])
    return fork


def multiscale_fork():
    flow, fork = MODELS["normflows: Glow"].build(), nn.Module()
    for name, child in flow.named_children():
        fork.add_module(name, child)
    return fork


def fork_of_zuko():
    flow, fork = MODELS["zuko: NSF"].build(), nn.Module()
    fork.transform, fork.base = flow.transform, flow.base
    return fork


FORKS = [ForkOfNFlows, ForkWithEmbedding, fork_of_normflows, multiscale_fork, fork_of_zuko]


@pytest.mark.parametrize("build", FORKS)
def test_a_flow_of_a_fork_is_refused_with_the_call_that_takes_its_layers(build):
    import nflows.flows

    fork = build()
    with pytest.raises(TypeError, match="if it is a fork's") as caught:
        encode(fork, X)
    assert f"got {type(fork).__qualname__} of {type(fork).__module__}; if" in str(caught.value)
    call = str(caught.value).rpartition("build ")[2]
    given = {"flow": fork, "nflows": nflows, "DegenerateGaussian": DegenerateGaussian, "shape": [FEATURES]}
    if "normflows." in call:
        given["normflows"] = pytest.importorskip("normflows")
    if "zuko." in call:
        given["zuko"] = pytest.importorskip("zuko")
    flow = eval(call, given).eval()
    x = torch.randn(5, 1, 4, 4) if build is multiscale_fork else X
    torch.testing.assert_close(decode(flow, encode(flow, x)), x, rtol=0, atol=1e-4)
