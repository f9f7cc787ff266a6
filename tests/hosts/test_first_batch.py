"""The hosts' layers that wait for their first batch, started on request; channels constant up to rounding."""

from __future__ import annotations

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import ActNorm, CompositeTransform, InverseTransform

from nflows_spread import DegenerateGaussian, encode, initialize
from nflows_spread.hosts.first_batch import layers_waiting_for_a_batch
from nflows_spread.transforms import ExplicitActNorm, VolumePreservingActNorm
from support import refused

FEATURES = 3


def of_nflows(*layers):
    return Flow(CompositeTransform(layers), DegenerateGaussian([FEATURES]))


def of_normflows(*wrappers):
    nf = pytest.importorskip("normflows", reason="needs the extra normflows")
    layers = [getattr(nf.flows, name)(nf.flows.ActNorm(FEATURES)) for name in wrappers] or [nf.flows.ActNorm(FEATURES)]
    return nf.NormalizingFlow(DegenerateGaussian([FEATURES]), layers)


def of_zuko(*layers):
    flows = pytest.importorskip("zuko", reason="needs the extra zuko").flows
    from nflows_spread.transforms.zuko import LazyNflowsTransform

    return flows.Flow([LazyNflowsTransform(layer) for layer in layers], DegenerateGaussian([FEATURES]))


FLOWS = {
    "nflows": lambda: of_nflows(ActNorm(FEATURES)),
    "nflows, twice": lambda: of_nflows(ActNorm(FEATURES), ActNorm(FEATURES)),
    "nflows, inverted": lambda: of_nflows(InverseTransform(ActNorm(FEATURES))),
    "normflows": of_normflows,
    "normflows, reversed": lambda: of_normflows("Reverse"),
    "zuko": lambda: of_zuko(ActNorm(FEATURES), ActNorm(FEATURES)),
}
OUR_FLOWS = {
    "ours": lambda: of_nflows(ExplicitActNorm(FEATURES), ExplicitActNorm(FEATURES)),
    "ours, volume-preserving": lambda: of_nflows(VolumePreservingActNorm(FEATURES), VolumePreservingActNorm(FEATURES)),
}


def columns(dtype, *, seed=0):
    """Two columns that vary, and one of zeros."""
    draws = torch.randn(500, FEATURES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (draws * torch.tensor([2.0, 0.1, 0.0]) + torch.tensor([5.0, 0.0, 0.0])).to(dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_layers_that_wait_for_their_first_batch_are_known_and_started_on_request(flow, training, float64):
    flow = flow().train(training)
    waiting = layers_waiting_for_a_batch(flow)
    assert len(waiting) == initialize(flow, columns(torch.float64, seed=1) + torch.randn(500, 1))
    assert not layers_waiting_for_a_batch(flow)
    flow = flow.train(training)
    x = columns(torch.float64, seed=1) + torch.randn(500, 1)
    z = encode(flow, x)
    assert torch.equal(encode(flow, x), z)  # no batch changes anything any more
    assert all("forward" not in vars(layer) and "inverse" not in vars(layer) for layer in flow.modules())


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_a_started_layer_standardises_its_batch(flow, float64):
    flow, x = flow(), columns(torch.float64) + torch.randn(500, 1)
    initialize(flow, x)
    z = encode(flow, x).detach()
    torch.testing.assert_close(z, (x - x.mean(0)) / x.std(0))


@pytest.mark.parametrize("flow", FLOWS.values(), ids=FLOWS)
def test_data_that_does_not_fit_leaves_layers_waiting(flow):
    flow = flow()
    with refused(ValueError, "at least two rows", unchanged=flow):
        initialize(flow, columns(torch.float32)[:1])
    with refused(RuntimeError, "size of tensor", unchanged=flow):
        initialize(flow, torch.randn(5, FEATURES + 1))
    assert len(layers_waiting_for_a_batch(flow)) >= 1


ROUNDINGS = {
    "a constant of float32": (torch.float32, 0.5, 0.0),
    "the last bits of a half": (torch.float32, 0.5, 1e-8),
    "some more bits": (torch.float32, 0.5, 1e-7),
    "what a few operations leave": (torch.float32, 0.5, 1e-6),
    "the last bits of a large number": (torch.float32, 1e4, 1e-3),
    "about zero": (torch.float32, 0.0, 1e-9),
    "what centring leaves": (torch.float64, 0.0, 1e-17),
    "float32 in float64": (torch.float64, 0.5, 1e-8),
    "the last bits of float64": (torch.float64, 1e3, 1e-13),
}


@pytest.mark.parametrize(("dtype", "value", "rounding"), ROUNDINGS.values(), ids=ROUNDINGS)
@pytest.mark.parametrize("flow", [*FLOWS.values(), *OUR_FLOWS.values()], ids=[*FLOWS, *OUR_FLOWS])
def test_rounding_is_not_blown_up(flow, dtype, value, rounding):
    flow, x = flow().to(dtype), columns(dtype)
    x[:, 2] = value + rounding * torch.randn(500, generator=torch.Generator().manual_seed(1), dtype=dtype)
    initialize(flow, x)
    noise = 0.02 * torch.randn(500, FEATURES, generator=torch.Generator().manual_seed(2), dtype=dtype)
    z, noisy = encode(flow, x).detach(), encode(flow, x + noise).detach()
    assert (z[:, :2].std(0) / z[:, :2].std(0).mean() - 1.0).abs().max() < 1e-3  # the others are as large as each other
    assert z[:, 2].std() < 1e-4 * z[:, :2].std()
    assert noisy.std(0).max() < 2.0 * z.std(0).max()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_columns_in_very_different_units_are_not_taken_for_constant(scale, float64):
    x = scale * columns(torch.float64)
    x[:, 2] = scale * 1e-4 * torch.randn(500)
    flow = of_nflows(ExplicitActNorm(FEATURES))
    initialize(flow, x)
    torch.testing.assert_close(encode(flow, x).std(0).detach(), torch.ones(FEATURES))
