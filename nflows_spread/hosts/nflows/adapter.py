"""Adapter of nflows: ``Flow`` runs data → latent, keeps its parts in private attributes, and embeds its context."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import Transform
from nflows.transforms.linear import Linear
from torch import Tensor, nn

from nflows_spread.hosts.caches import forget_caches
from nflows_spread.hosts.conversion_rules import Rules
from nflows_spread.hosts.interface import Host, Method, SavedBase
from nflows_spread.hosts.nflows.conversion import RULES
from nflows_spread.hosts.overrides import overridden
from nflows_spread.hosts.swapping import with_base
from nflows_spread.transforms import GlowStep


class NFlows(Host):
    """The host for ``nflows.flows.Flow`` and its subclasses, conditional or not, and for all ``Transform``s."""

    flow_classes = (Flow,)
    layer_classes = (Transform,)
    net_attributes = ("transform_net", "autoregressive_net")
    saved_bases = (
        SavedBase(
            StandardNormal,
            describe=lambda base: {"shape": list(base._shape)},
            build=lambda arguments: StandardNormal(arguments["shape"]),
        ),
    )

    def encode(self, flow: Flow, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        forget_caches(flow, Linear)
        z, logabsdet = flow._transform(x, context=flow._embedding_net(context))
        return z, logabsdet

    def decode(self, flow: Flow, z: Tensor, context: Tensor | None) -> Tensor:
        forget_caches(flow, Linear)
        x: Tensor = flow._transform.inverse(z, context=flow._embedding_net(context))[0]
        return x

    def base_of(self, flow: Flow) -> nn.Module:
        base: nn.Module = flow._distribution
        return base

    def layers_of(self, flow: Flow) -> list[nn.Module]:
        return [flow._transform] if isinstance(flow._transform, nn.Module) else []

    def swap_base(self, flow: Flow, base: nn.Module) -> Flow:
        own = vars(nn.Module())
        made = vars(Flow(flow._transform, base, flow._embedding_net))  # newer versions look at how the base is called
        return with_base(flow, "_distribution", base, {name: made[name] for name in made if name not in own})

    def variances_of(self, base: nn.Module) -> Tensor | None:
        if not isinstance(base, StandardNormal) or overridden(base, StandardNormal):
            return None
        return torch.ones(base._shape.numel(), dtype=torch.float64)

    def encoder_methods(self, layer: nn.Module) -> Iterator[Method]:
        """The steps of a Glow, of which all of one shape share one compilation, or else the transform as a whole."""
        steps: list[nn.Module] = [part for part in layer.modules() if isinstance(part, GlowStep)]
        return ((part, "forward") for part in steps or [layer])

    def conversion_rules(self) -> Rules:
        return RULES


HOST = NFlows()
