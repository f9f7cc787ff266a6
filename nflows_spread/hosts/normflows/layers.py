"""The layers of normflows, run one by one in either direction.

Not through the model, because some of what normflows does on the way would spoil a result: it sums
log-determinants in float32, its ``Composite`` does so on the CPU, its ``Shift`` changes its input, and
its ``ActNorm`` takes its statistics from the first call of either direction, also in evaluation mode.
Here an ``ActNorm`` sets itself from the first batch that is encoded in training mode, as in nflows, and
is the identity until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import prod
from typing import Literal, cast

import torch
from normflows import ConditionalNormalizingFlow, MultiscaleFlow, NormalizingFlow
from normflows.flows import (
    ActNorm,
    AffineCouplingBlock,
    BatchNorm,
    Composite,
    Flow,
    GlowBlock,
    HamiltonianMonteCarlo,
    MetropolisHastings,
    Reverse,
)
from normflows.transforms import Shift
from torch import Tensor, nn

from nflows_spread.hosts.first_batch import waiting_layers_held
from nflows_spread.hosts.interface import Method
from nflows_spread.hosts.overrides import overridden

_SPOILING = {
    MetropolisHastings: "it is random, so that no latent belongs to a point",
    HamiltonianMonteCarlo: "it is random, so that no latent belongs to a point",
    BatchNorm: "it normalises by the batch at hand, so that a latent depends on the other points",
}


def up(layers: Iterable[nn.Module], x: Tensor, total: Tensor, *passed_on: Tensor | None) -> tuple[Tensor, Tensor]:
    """Data → latent through layers given in the order latent → data; adds their log-determinants to ``total``."""
    for layer in reversed(list(layers)):
        if isinstance(layer, Composite) and not overridden(layer, Composite):
            x, total = up(layer._flows, x, total, *passed_on)
        elif isinstance(layer, Reverse) and not overridden(layer, Reverse):
            x, total = down([layer.flow], x, total, *passed_on)
        else:
            x, logabsdet = _checked(layer).inverse(_kept_from(layer, x), *passed_on)
            total = _plus(total, logabsdet)
    return x, total


def down(layers: Iterable[nn.Module], z: Tensor, total: Tensor, *passed_on: Tensor | None) -> tuple[Tensor, Tensor]:
    """Latent → data, the other way through the same layers."""
    for layer in layers:
        if isinstance(layer, Composite) and not overridden(layer, Composite):
            z, total = down(layer._flows, z, total, *passed_on)
        elif isinstance(layer, Reverse) and not overridden(layer, Reverse):
            z, total = up([layer.flow], z, total, *passed_on)
        else:
            z, logabsdet = _checked(layer)(_kept_from(layer, z), *passed_on)
            total = _plus(total, logabsdet)
    return z, total


def methods_called(layer: nn.Module, direction: Literal["forward", "inverse"]) -> Iterator[Method]:
    """Which methods ``up`` ("inverse") or ``down`` ("forward") calls for one layer, of parts that have parameters.

    Other parts permute, squeeze or shift: there is nothing in them to compile.
    """
    if isinstance(layer, JoinedLevels):
        parts = [*chain.from_iterable(cast(Iterable[nn.ModuleList], layer.flows)), layer.transform]
    elif isinstance(layer, Composite) and not overridden(layer, Composite):
        parts = list(layer._flows)
    elif isinstance(layer, Reverse) and not overridden(layer, Reverse):
        parts, direction = [layer.flow], "forward" if direction == "inverse" else "inverse"
    else:
        if next(layer.parameters(), None) is not None:
            yield layer, direction
        return
    for part in parts:
        if part is not None:
            yield from methods_called(part, direction)


def _kept_from(layer: nn.Module, x: Tensor) -> Tensor:
    """The input, or a copy of it for a layer that is, or has somewhere, a ``Shift``, which changes it."""
    return x.clone() if any(isinstance(part, Shift) for part in layer.modules()) else x


def _plus(total: Tensor, logabsdet: Tensor | float) -> Tensor:
    """The sum in dtype and on the device of ``total``, whatever kind of zero a layer returns."""
    return total + (logabsdet.to(total) if isinstance(logabsdet, Tensor) else logabsdet)


def _checked(layer: nn.Module) -> Flow:
    for kind, reason in _SPOILING.items():
        if isinstance(layer, kind):
            raise TypeError(f"flow must not contain a {kind.__name__} of normflows: {reason}")
    return layer


class JoinedLevels(Flow):
    """A multiscale architecture as one flow whose latent is a vector: all levels, flattened, one after the other.

    Args:
        flows: for each level its layers, latent → data, the coarsest level first.
        merges: what joins a level with the next, one less than levels.
        transform: the last step to the data, or None.
        shapes: shape of the latents of each level.

    The context is ignored, as normflows' multiscale flows take none.

    Shapes:
        latents (n, D), data (n, ...), log-determinants (n,).
    """

    def __init__(
        self,
        flows: nn.ModuleList,
        merges: nn.ModuleList,
        transform: nn.Module | None,
        shapes: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        self.flows, self.merges, self.transform = flows, merges, transform
        self.shapes = [torch.Size(shape) for shape in shapes]

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with waiting_layers_held(self, kind=ActNorm):
            return self._forward(z)

    def inverse(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with waiting_layers_held(self, kind=ActNorm, but_in_training=True):
            return self._inverse(x)

    def _forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        sizes = [prod(shape) for shape in self.shapes]
        if z.shape[1:] != (sum(sizes),):
            raise ValueError(f"latents must have shape (n, {sum(sizes)}), got {tuple(z.shape)}")
        parts = [part.unflatten(1, shape) for part, shape in zip(z.split(sizes, dim=1), self.shapes)]
        x, total = parts[0], z.new_zeros(len(z))
        for level, layers in enumerate(self.flows):
            if level > 0:
                x, logabsdet = self.merges[level - 1]([x, parts[level]])
                total = _plus(total, logabsdet)
            x, total = down(cast(Iterable[nn.Module], layers), x, total)
        return down([] if self.transform is None else [self.transform], x, total)

    def _inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        parts: list[Tensor] = []
        x, total = up([] if self.transform is None else [self.transform], x, x.new_zeros(len(x)))
        for level in range(len(self.flows) - 1, -1, -1):
            x, total = up(cast(Iterable[nn.Module], self.flows[level]), x, total)
            if level > 0:
                (x, part), logabsdet = cast(Flow, self.merges[level - 1]).inverse(x)
                parts.insert(0, part.flatten(1))
                total = _plus(total, logabsdet)
        return torch.cat([x.flatten(1), *parts], dim=1), total


LAYERS_IN: dict[type[nn.Module], tuple[str, ...]] = {
    NormalizingFlow: ("flows",),
    ConditionalNormalizingFlow: ("flows",),
    MultiscaleFlow: ("flows", "merges", "transform"),
    JoinedLevels: ("flows", "merges", "transform"),
    Composite: ("_flows",),
    Reverse: ("flow",),
    AffineCouplingBlock: ("flows",),
    GlowBlock: ("flows",),
}
"""What is made of other layers alone, and the attributes under which it has them."""
