"""nflows: ``Flow`` runs data → latent, keeps its parts private, and embeds its context."""

from __future__ import annotations

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn


class NFlows:
    """The host for ``nflows.flows.Flow`` and its subclasses, conditional or not."""

    def encode(self, flow: Flow, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        z, logabsdet = flow._transform(x, context=flow._embedding_net(context))
        return z, logabsdet

    def decode(self, flow: Flow, z: Tensor, context: Tensor | None) -> Tensor:
        x: Tensor = flow._transform.inverse(z, context=flow._embedding_net(context))[0]
        return x

    def base_of(self, flow: Flow) -> nn.Module:
        base: nn.Module = flow._distribution
        return base

    def swap_base(self, flow: Flow, base: nn.Module) -> Flow:
        return Flow(flow._transform, base, flow._embedding_net)

    def variances_of(self, base: nn.Module) -> Tensor | None:
        if not isinstance(base, StandardNormal):
            return None
        return torch.ones(base._shape.numel(), dtype=torch.float64)


def host_for(flow: nn.Module) -> NFlows | None:
    """This host if the flow is one of its own."""
    return NFlows() if isinstance(flow, Flow) else None
