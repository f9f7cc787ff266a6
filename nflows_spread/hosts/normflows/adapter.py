"""Adapter of normflows: ``forward`` runs latent → data, ``q0`` is the base, and the context is not embedded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from nflows.transforms.linear import Linear
from normflows import ClassCondFlow, ConditionalNormalizingFlow, MultiscaleFlow, NormalizingFlow, NormalizingFlowVAE
from normflows.distributions import DiagGaussian
from normflows.flows import ActNorm, Flow
from normflows.flows.mixing import _Linear
from torch import Tensor, nn

from nflows_spread.hosts.caches import forget_caches
from nflows_spread.hosts.conversion_rules import Rules
from nflows_spread.hosts.first_batch import waiting_layers_held
from nflows_spread.hosts.interface import Host, Method, SavedBase
from nflows_spread.hosts.normflows.conversion import RULES
from nflows_spread.hosts.normflows.layers import LAYERS_IN, JoinedLevels, down, methods_called, up
from nflows_spread.hosts.overrides import overridden
from nflows_spread.hosts.swapping import with_base


class Normflows(Host):
    """The host for ``NormalizingFlow``, ``ConditionalNormalizingFlow`` and ``MultiscaleFlow``, and all layers."""

    flow_classes = (NormalizingFlow, ConditionalNormalizingFlow, MultiscaleFlow)
    layer_classes = (Flow,)
    encoding_method = "inverse"
    net_attributes = ("param_map", "s", "t", "transform_net", "autoregressive_net")
    saved_bases = (
        SavedBase(
            DiagGaussian,
            describe=lambda base: {"shape": list(base.shape), "trainable": isinstance(base.loc, nn.Parameter)},
            build=lambda arguments: DiagGaussian(arguments["shape"], trainable=arguments["trainable"]),
        ),
    )

    def is_flow(self, module: nn.Module) -> bool:
        if isinstance(module, ClassCondFlow | NormalizingFlowVAE):
            raise TypeError(
                f"flow must be a NormalizingFlow, ConditionalNormalizingFlow or MultiscaleFlow of normflows, got "
                f"{type(module).__qualname__}; build NormalizingFlow(DegenerateGaussian(shape), flow.flows) from its "
                "layers"
            )
        return super().is_flow(module)

    def encode(self, flow: nn.Module, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        forget_caches(flow, Linear, _Linear)
        with waiting_layers_held(flow, kind=ActNorm, but_in_training=True):
            return up(_layers_of(flow, context), x, x.new_zeros(len(x)), *_passed_on(flow, context))

    def decode(self, flow: nn.Module, z: Tensor, context: Tensor | None) -> Tensor:
        forget_caches(flow, Linear, _Linear)
        with waiting_layers_held(flow, kind=ActNorm):
            return down(_layers_of(flow, context), z, z.new_zeros(len(z)), *_passed_on(flow, context))[0]

    def base_of(self, flow: nn.Module) -> nn.Module:
        if isinstance(flow, MultiscaleFlow):
            raise TypeError(
                f"a MultiscaleFlow has one base for each of its {len(flow.q0)} levels and none for the latent as a "
                "whole, which a spread flow needs; use swap_base(flow, DegenerateGaussian([D])), D the size of the data"
            )
        base: nn.Module = flow.q0  # type: ignore[assignment]
        return base

    def layers_of(self, flow: nn.Module) -> list[nn.Module]:
        kind = next(kind for kind in type(flow).__mro__ if kind in LAYERS_IN)
        held = [getattr(flow, name) for name in LAYERS_IN[kind]]
        return [layer for layer in held if isinstance(layer, nn.Module)]

    def swap_base(self, flow: nn.Module, base: nn.Module) -> nn.Module:
        if not isinstance(flow, MultiscaleFlow):
            return with_base(flow, "q0", base, {})
        swapped: nn.Module = NormalizingFlow(base, _layers_of(flow, None))
        for module in (swapped, *swapped.children(), *cast(nn.ModuleList, swapped.flows)):
            module.training = flow.training
        return swapped

    def variances_of(self, base: nn.Module) -> Tensor | None:
        if not isinstance(base, DiagGaussian) or overridden(base, DiagGaussian):
            return None
        return torch.exp(2.0 * base.log_scale.double()).flatten()

    def encoder_methods(self, layer: nn.Module) -> Iterator[Method]:
        return methods_called(layer, "inverse")  # which is data → latent

    def conversion_rules(self) -> Rules:
        return RULES


def _layers_of(flow: nn.Module, context: Tensor | None) -> Sequence[nn.Module]:
    """The layers in the order latent → data.

    Raises:
        ValueError: a context for a flow that takes none.
        TypeError: a multiscale flow whose bases do not tell the shapes of the latents.
    """
    if context is not None and not isinstance(flow, ConditionalNormalizingFlow):
        raise ValueError(
            f"a {type(flow).__qualname__} takes no context, got one of shape {tuple(context.shape)}; "
            "build a ConditionalNormalizingFlow from its layers"
        )
    if not isinstance(flow, MultiscaleFlow):
        return list(cast(nn.ModuleList, flow.flows))
    shapes = [getattr(base, "shape", None) for base in flow.q0]
    if None in shapes:
        raise TypeError(
            f"each base of a MultiscaleFlow must tell the shape of its latents by an attribute 'shape', as "
            f"DiagGaussian does, got {type(flow.q0[shapes.index(None)]).__name__}"
        )
    return [JoinedLevels(flow.flows, flow.merges, flow.transform, cast(list[Sequence[int]], shapes))]


def _passed_on(flow: nn.Module, context: Tensor | None) -> tuple[Tensor | None, ...]:
    """What every layer is called with besides its input."""
    return (context,) if isinstance(flow, ConditionalNormalizingFlow) else ()


HOST = Normflows()
