"""Every (host, model) pair that the package promises to work with, built as a user of that host builds it.

The list is complete when it has each name of ``PROMISED``, each builder that ``nflows_spread.models``
exports, each flow class that a host exports but those of ``NOT_SUPPORTED``, and something from each
host that ``nflows_spread.hosts`` knows. ``test_every_host.py`` checks this and runs over the list.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import NamedTuple

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import (
    CompositeTransform,
    MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    ReversePermutation,
)
from torch import nn

import swapped_flows
from nflows_spread import DegenerateGaussian, encode, swap_base, to_volume_preserving
from nflows_spread.models import (
    convolutional_flow,
    coupling_flow,
    density_flow,
    principal_flow,
    volume_preserving_glow,
)
from support import randomize

FEATURES = swapped_flows.FEATURES
CONTEXT = swapped_flows.CONTEXT
IMAGE = (1, 4, 4)


class HostModel(NamedTuple):
    """How a model is built, with the base that it has in its host, and the shapes of one input and its context."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (FEATURES,)
    context: int | None = None

    @property
    def features(self) -> int:
        return prod(self.shape)


def autoregressive_splines() -> Flow:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers.append(ReversePermutation(FEATURES))
        layers.append(
            MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
                FEATURES, hidden_features=8, num_bins=4, tails="linear", tail_bound=4.0, num_blocks=1
            )
        )
    return Flow(CompositeTransform(layers), DegenerateGaussian([FEATURES]))


def glow(context: int | None = None, *, volume_preserving: bool = True) -> Flow:
    transform = volume_preserving_glow(
        IMAGE, blocks=2, layers=2, hidden_channels=8, context_features=context, volume_preserving=volume_preserving
    )
    return Flow(transform, DegenerateGaussian([prod(IMAGE)]))


def normflows():
    return pytest.importorskip("normflows", reason="needs the extra normflows")


def mlp(inputs, outputs):
    return normflows().nets.MLP([inputs, 8, outputs])


def normal(shape):
    return normflows().distributions.DiagGaussian(shape)


def normflows_real_nvp():
    nf = normflows()
    masks = [torch.tensor(mask) for mask in ([1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0])]
    flows = [nf.flows.MaskedAffineFlow(mask, mlp(FEATURES, FEATURES), mlp(FEATURES, FEATURES)) for mask in masks]
    return nf.NormalizingFlow(normal(FEATURES), flows)


def normflows_coupling_blocks():
    nf = normflows()
    flows = []
    for scale_map in ("exp", "sigmoid"):
        flows += [nf.flows.AffineCouplingBlock(mlp(2, 2), scale_map=scale_map), nf.flows.Permute(FEATURES)]
        flows += [nf.flows.ActNorm(FEATURES), nf.flows.InvertibleAffine(FEATURES)]
    return nf.NormalizingFlow(normal(FEATURES), [nf.flows.Composite(flows), nf.transforms.Shift(0.5)])


def normflows_neural_spline():
    nf = normflows()
    flows = []
    for _ in range(2):
        flows += [nf.flows.CoupledRationalQuadraticSpline(FEATURES, 1, 8, num_bins=4)]
        flows += [nf.flows.LULinearPermute(FEATURES)]
    return nf.NormalizingFlow(normal(FEATURES), flows)


def normflows_autoregressive_splines():
    nf = normflows()
    flows = [nf.flows.AutoregressiveRationalQuadraticSpline(FEATURES, 1, 8, num_bins=4) for _ in range(2)]
    return nf.NormalizingFlow(normal(FEATURES), flows)


def normflows_conditional():
    nf = normflows()
    flows = []
    for _ in range(2):
        flows += [nf.flows.MaskedAffineAutoregressive(FEATURES, 8, context_features=CONTEXT, num_blocks=1)]
        flows += [nf.flows.LULinearPermute(FEATURES)]
    return nf.ConditionalNormalizingFlow(normal(FEATURES), flows)


def normflows_glow(levels=2, blocks=1, image=IMAGE):
    """As in normflows' own example of Glow."""
    nf = normflows()
    channels, height, width = image
    bases, merges, flows = [], [], []
    for level in range(levels):
        wide = channels * 2 ** (levels + 1 - level)
        flows.append([nf.flows.GlowBlock(wide, 8) for _ in range(blocks)] + [nf.flows.Squeeze()])
        scale = 2 ** (levels - level)
        if level > 0:
            merges.append(nf.flows.Merge())
            shape = (channels * scale, height // scale, width // scale)
        else:
            shape = (2 * channels * scale, height // scale, width // scale)
        bases.append(normal(shape))
    return nf.MultiscaleFlow(bases, flows, merges, transform=nf.transforms.Shift(), class_cond=False)


def our_transforms_in_normflows():
    nf = normflows()
    from nflows_spread.transforms.normflows import TransformFlow

    parts = coupling_flow(FEATURES, layers=3)._transform._transforms
    return nf.NormalizingFlow(normal(FEATURES), [TransformFlow(part) for part in reversed(parts)])


def zuko():
    return pytest.importorskip("zuko", reason="needs the extra zuko")


def of_zuko(kind, **options):
    """A flow of zuko with small nets."""
    return getattr(zuko().flows, kind)(FEATURES, **{"transforms": 2, "hidden_features": (8,)} | options)


def steep(flow, log_scale=3.0):
    """With larger latents, so that those of a base are reached from the interval in which zuko can invert the flow."""
    layer = zuko().transforms.MonotonicAffineTransform
    flow.transform.transforms.append(
        zuko().flows.UnconditionalTransform(
            layer, shift=torch.zeros(FEATURES), scale=torch.full((FEATURES,), log_scale)
        )
    )
    return flow


def additive_zuko():
    return of_zuko("NICE", univariate=zuko().transforms.AdditiveTransform, shapes=[()])


def lazy_layers_of_zuko():
    """A flow of one's own of most that zuko has besides the transforms of its flows, one of them run backwards."""
    flows, transforms = zuko().flows, zuko().transforms
    unconditional = flows.UnconditionalTransform
    layers = [
        unconditional(transforms.MonotonicAffineTransform, shift=torch.randn(FEATURES), scale=torch.randn(FEATURES)),
        flows.GeneralCouplingTransform(FEATURES, CONTEXT, hidden_features=(8,)),
        unconditional(transforms.RotationTransform, torch.randn(FEATURES, FEATURES)),
        flows.ElementWiseTransform(FEATURES, CONTEXT, hidden_features=(8,)),
        unconditional(transforms.PermutationTransform, torch.randperm(FEATURES), buffer=True),
        flows.MaskedAutoregressiveTransform(FEATURES, CONTEXT, hidden_features=(8,)).inv,
        unconditional(transforms.LULinearTransform, torch.eye(FEATURES)),
    ]
    return flows.Flow(layers, of_zuko("MAF").base)


def our_transforms_in_zuko():
    from nflows_spread.transforms.zuko import LazyNflowsTransform

    parts = coupling_flow(FEATURES, layers=3)._transform._transforms
    return zuko().flows.Flow([LazyNflowsTransform(part) for part in parts], of_zuko("MAF").base)


MODELS: dict[str, HostModel] = {
    "nflows: SimpleRealNVP": HostModel(swapped_flows.real_nvp),
    "nflows: MaskedAutoregressiveFlow": HostModel(swapped_flows.masked_autoregressive),
    "nflows: neural spline coupling": HostModel(swapped_flows.neural_spline),
    "nflows: neural spline autoregressive": HostModel(autoregressive_splines),
    "nflows: conditional with an embedding net": HostModel(swapped_flows.conditional, context=CONTEXT),
    "nflows: volume-preserving SimpleRealNVP": HostModel(lambda: to_volume_preserving(swapped_flows.real_nvp())),
    "nflows_spread: coupling_flow": HostModel(lambda: coupling_flow(FEATURES, layers=3)),
    "nflows_spread: coupling_flow, conditional": HostModel(
        lambda: coupling_flow(FEATURES, layers=3, context_features=CONTEXT), context=CONTEXT
    ),
    "nflows_spread: density_flow": HostModel(lambda: density_flow(torch.randn(50, FEATURES), layers=2, bins=4)),
    "nflows_spread: convolutional_flow": HostModel(lambda: convolutional_flow(IMAGE, blocks=(2,)), IMAGE),
    "nflows_spread: principal_flow": HostModel(
        lambda: principal_flow(IMAGE, leading=8, core=4, layers=2, hidden_features=(8,), core_hidden_features=(8,)),
        IMAGE,
    ),
    "nflows_spread: volume_preserving_glow": HostModel(glow, IMAGE),
    "nflows_spread: volume_preserving_glow, conditional": HostModel(lambda: glow(CONTEXT), IMAGE, CONTEXT),
    "nflows: traditional Glow of ours": HostModel(lambda: glow(volume_preserving=False), IMAGE),
    "normflows: Real NVP": HostModel(normflows_real_nvp),
    "normflows: coupling blocks, actnorm and linear": HostModel(normflows_coupling_blocks),
    "normflows: neural spline coupling": HostModel(normflows_neural_spline),
    "normflows: neural spline autoregressive": HostModel(normflows_autoregressive_splines),
    "normflows: conditional autoregressive": HostModel(normflows_conditional, context=CONTEXT),
    "normflows: Glow": HostModel(normflows_glow, IMAGE),
    "normflows: volume-preserving Glow": HostModel(lambda: to_volume_preserving(normflows_glow()), IMAGE),
    "normflows: volume-preserving Real NVP": HostModel(lambda: to_volume_preserving(normflows_real_nvp())),
    "normflows: our transforms": HostModel(our_transforms_in_normflows),
    "zuko: RealNVP": HostModel(lambda: of_zuko("RealNVP")),
    "zuko: NICE": HostModel(additive_zuko),
    "zuko: MAF": HostModel(lambda: of_zuko("MAF")),
    "zuko: NSF": HostModel(lambda: of_zuko("NSF", bins=4)),
    "zuko: NSF, coupling": HostModel(lambda: of_zuko("NSF", bins=4, passes=2)),
    "zuko: NSF, conditional": HostModel(lambda: of_zuko("NSF", bins=4, context=CONTEXT), context=CONTEXT),
    "zuko: NAF": HostModel(
        lambda: steep(of_zuko("NAF", transforms=1, signal=4, network={"hidden_features": (8,)}), 6.0)
    ),
    "zuko: UNAF": HostModel(lambda: steep(of_zuko("UNAF", signal=4, network={"hidden_features": (8,)}))),
    "zuko: SOSPF": HostModel(lambda: steep(of_zuko("SOSPF"))),
    "zuko: BPF": HostModel(lambda: of_zuko("BPF", degree=6)),
    "zuko: GF": HostModel(lambda: steep(zuko().flows.GF(FEATURES, transforms=2, components=4))),
    "zuko: Flow, conditional": HostModel(lazy_layers_of_zuko, context=CONTEXT),
    "zuko: volume-preserving Flow, conditional": HostModel(
        lambda: to_volume_preserving(lazy_layers_of_zuko()), context=CONTEXT
    ),
    "zuko: volume-preserving MAF": HostModel(lambda: to_volume_preserving(of_zuko("MAF"))),
    "zuko: our transforms": HostModel(our_transforms_in_zuko),
}

PROMISED = {
    "nflows: SimpleRealNVP",
    "nflows: MaskedAutoregressiveFlow",
    "nflows: neural spline coupling",
    "nflows: neural spline autoregressive",
    "nflows: conditional with an embedding net",
    "normflows: Real NVP",
    "normflows: neural spline coupling",
    "normflows: Glow",
    "zuko: RealNVP",
    "zuko: MAF",
    "zuko: NSF",
    "zuko: NSF, conditional",
}
"""The pairs that the project promises by name, over which a change of the list above has no say."""

NOT_SUPPORTED = {"ClassCondFlow", "NormalizingFlowVAE", "GMM", "NCSF"}
"""Flow classes of the hosts whose latents have no base of their own, or no Gaussian one; the host refuses them."""

APPROXIMATE = {"CNF"}
"""Those that solve an equation to a tolerance, tested by themselves."""


def spread_flow(name: str, dtype: torch.dtype = torch.float64) -> nn.Module:
    """The model with a degenerate base, its actnorms set from data, and random parameters."""
    model = MODELS[name]
    flow = swap_base(model.build(), DegenerateGaussian([model.features])).to(dtype).train()
    with torch.no_grad():
        encode(flow, *inputs_for(name, 8, dtype))
    return randomize(flow, 0.1).eval()


def inputs_for(name: str, rows: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Data and context of a model."""
    model = MODELS[name]
    x = torch.randn(rows, *model.shape, dtype=dtype)
    return x, None if model.context is None else torch.randn(rows, model.context, dtype=dtype)
