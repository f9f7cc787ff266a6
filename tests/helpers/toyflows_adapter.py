"""The adapter of ``toyflows``, as a user writes it outside the package."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

import toyflows
from nflows_spread.hosts import Host
from nflows_spread.hosts.conversion_rules import Memo, Rules
from nflows_spread.hosts.interface import Method, SavedBase
from nflows_spread.hosts.swapping import with_base


class CentredCoupling(toyflows.Coupling):
    """One that preserves volume, because its log-scales sum to 0."""

    def scale_and_shift(self, a: Tensor) -> tuple[Tensor, Tensor]:
        s, t = super().scale_and_shift(a)
        return s - s.mean(1, keepdim=True), t


def centred(coupling: nn.Module, memo: Memo) -> nn.Module:
    """The coupling with its own net, centred."""
    converted = copy.deepcopy(coupling, memo)
    converted.__class__ = CentredCoupling
    return converted


class ToyHost(Host):
    """Answers for ``toyflows.ToyFlow``."""

    flow_classes = (toyflows.ToyFlow,)
    layer_classes = (toyflows.Coupling,)
    encoding_method = "up"
    net_attributes = ("net",)
    saved_bases = (
        SavedBase(
            toyflows.Normal,
            describe=lambda base: {"features": base.features},
            build=lambda arguments: toyflows.Normal(arguments["features"]),
        ),
    )

    def encode(self, flow: nn.Module, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for coupling in flow.couplings:
            x, logabsdet = coupling.up(x)
            total = total + logabsdet
        return x, total

    def decode(self, flow: nn.Module, z: Tensor, context: Tensor | None) -> Tensor:
        for coupling in reversed(flow.couplings):
            z = coupling.down(z)
        return z

    def base_of(self, flow: nn.Module) -> nn.Module:
        return flow.prior

    def layers_of(self, flow: nn.Module) -> list[nn.Module]:
        return list(flow.couplings)

    def swap_base(self, flow: nn.Module, base: nn.Module) -> nn.Module:
        return with_base(flow, "prior", base, {})

    def variances_of(self, base: nn.Module) -> Tensor | None:
        return torch.exp(2.0 * base.log_std.double()) if isinstance(base, toyflows.Normal) else None

    def encoder_methods(self, layer: nn.Module) -> Iterator[Method]:
        yield layer, "up"

    def conversion_rules(self) -> Rules:
        return Rules(
            containers={toyflows.ToyFlow: ("couplings",)},
            kept=frozenset({CentredCoupling}),
            converted={toyflows.Coupling: centred},
            refused=(),
        )


HOST = ToyHost()
