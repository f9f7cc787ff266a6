"""What a coupling costs over its nets: ours against nflows, normflows and FrEIA, around the same nets.

All do the same: both halves of the entries are transformed once, the second given the first and then the first given
the second. That is two couplings of ours, of nflows, of normflows, and of FrEIA's ``AllInOneBlock`` (which
brings its permutation along), and one ``GINCouplingBlock``. ``the nets alone`` are the two nets on contiguous halves,
with gradients for their inputs, as inside a flow. ``split, nets, join`` adds what the nets say to the other half,
without any scale: what is beyond it is the scale's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
from nflows import transforms as nflows
from torch import Tensor, nn

from nflows_spread.models.nets import ConvolutionalNet
from nflows_spread.transforms import MeanCentredAffineCouplingTransform
from performance import targets
from performance.races import Race, Section, Step, Target

NAME = "couplings"
NETS, BARE, OURS, NFLOWS, NORMFLOWS = "the nets alone", "split, nets, join", "ours", "nflows", "normflows"
GIN, ALL_IN_ONE = "FrEIA, GINCouplingBlock", "FrEIA, AllInOneBlock(gin_block=True)"
IN_SWEEPS = (NETS, OURS, NFLOWS, NORMFLOWS)
BACKWARD = "forward + backward"
BATCH, FEATURES = 256, 784
SIZES, BATCHES = (196, 3136), (64, 1024)
"""Beside the sizes above, to see how time grows."""
Net = Callable[[int, int], nn.Module]


class Dense(nn.Sequential):
    """A net of linear layers that any of the libraries can call."""

    def __init__(self, inputs: int, outputs: int, *, hidden: Sequence[int]) -> None:
        widths = [inputs, *hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(inputs)


class Nets(nn.Module):
    """The two nets and nothing else."""

    def __init__(self, net: Net, shape: Sequence[int]) -> None:
        super().__init__()
        first, second = shape[1] // 2, shape[1] - shape[1] // 2
        self.nets = nn.ModuleList([net(first, 2 * second), net(second, 2 * first)])
        self.halves = [torch.randn(shape[0], half, *shape[2:]).requires_grad_() for half in (first, second)]

    def forward(self, x: Tensor) -> list[Tensor]:
        return [net(half) for net, half in zip(self.nets, self.halves)]

    inverse = forward


class Bare(nflows.Transform):
    """The split, the net and the join of a coupling: what the net says of one half is added to the other."""

    def __init__(self, mask: Sequence[int], net: Net) -> None:
        super().__init__()
        self.half, self.first = len(mask) // 2, mask[0] == 0
        self.net = net(self.half, 2 * self.half)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._moved(inputs, torch.add)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._moved(inputs, torch.sub)

    def _moved(self, inputs: Tensor, by: Callable[[Tensor, Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        halves = inputs.split(self.half, dim=1)
        identity, other = halves if self.first else halves[::-1]
        one, two = self.net(identity).split(self.half, dim=1)
        halves = (identity, by(by(other, one), two))
        return torch.cat(halves if self.first else halves[::-1], dim=1), inputs.new_zeros(len(inputs))


class Normflows(nn.Module):
    """normflows' own blocks of split, coupling and merge; their ``inverse`` is data → latent."""

    def __init__(self, net: Net, shape: Sequence[int]) -> None:
        from normflows.flows import AffineCouplingBlock

        super().__init__()
        first, second = shape[1] // 2, shape[1] - shape[1] // 2
        self.blocks = nn.ModuleList(
            [
                AffineCouplingBlock(net(second, 2 * first), split_mode="channel_inv"),
                AffineCouplingBlock(net(first, 2 * second), split_mode="channel"),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        logabsdet: Any = 0.0
        for block in reversed(self.blocks):
            x, change = block.inverse(x)
            logabsdet = logabsdet + change
        return [x, logabsdet]

    def inverse(self, x: Tensor) -> list[Tensor]:
        logabsdet: Any = 0.0
        for block in self.blocks:
            x, change = block(x)
            logabsdet = logabsdet + change
        return [x, logabsdet]


class Freia(nn.Module):
    """Blocks of FrEIA in a row."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        logabsdet: Any = 0.0
        for block in self.blocks:
            (x,), change = block((x,))
            logabsdet = logabsdet + change
        return [x, *([logabsdet] if isinstance(logabsdet, Tensor) else [])]

    def inverse(self, x: Tensor) -> list[Tensor]:
        logabsdet: Any = 0.0
        for block in reversed(self.blocks):
            (x,), change = block((x,), rev=True)
            logabsdet = logabsdet + change
        return [x, *([logabsdet] if isinstance(logabsdet, Tensor) else [])]


def both_ways(coupling: Callable[[Sequence[int], Net], nn.Module], net: Net, shape: Sequence[int]) -> nn.Module:
    """Two couplings of nflows' interface, one for each half."""
    mask = [0] * (shape[1] // 2) + [1] * (shape[1] - shape[1] // 2)
    return nflows.CompositeTransform([coupling(mask, net), coupling([1 - entry for entry in mask], net)])


def freia(net: Net, shape: Sequence[int], *, all_in_one: bool) -> nn.Module:
    """One block that couples both ways, or two that couple one way and permute."""
    from FrEIA.modules import AllInOneBlock, GINCouplingBlock

    if not all_in_one:
        return Freia(GINCouplingBlock([tuple(shape[1:])], subnet_constructor=net))
    return Freia(*(AllInOneBlock([tuple(shape[1:])], subnet_constructor=net, gin_block=True) for _ in range(2)))


BUILDERS: dict[str, Callable[[Net, Sequence[int]], nn.Module]] = {
    NETS: Nets,
    BARE: partial(both_ways, Bare),
    OURS: partial(both_ways, MeanCentredAffineCouplingTransform),
    NFLOWS: partial(both_ways, nflows.AffineCouplingTransform),
    NORMFLOWS: Normflows,
    GIN: partial(freia, all_in_one=False),
    ALL_IN_ONE: partial(freia, all_in_one=True),
}
PACKAGES = {NORMFLOWS: "normflows", GIN: "FrEIA", ALL_IN_ONE: "FrEIA"}


def missing() -> dict[str, str]:
    """The peers that are not installed."""
    return {name: f"{package} is not installed" for name, package in PACKAGES.items() if find_spec(package) is None}


def step_of(build: Callable[[Net, Sequence[int]], nn.Module], net: Net, shape: Sequence[int], way: str) -> Step:
    """One pass: ``forward``, ``inverse``, or ``forward + backward`` with gradients for parameters and inputs."""
    module = build(net, shape)
    x = torch.randn(*shape)

    def backward() -> None:
        module.zero_grad()
        x.grad = None
        sum(part.sum() for part in tensors(module(x))).backward()

    def alone() -> None:
        with torch.no_grad():
            module(x) if way == "forward" else module.inverse(x)

    if way == BACKWARD:
        x.requires_grad_()
        return backward
    return alone


def tensors(found: Any) -> Sequence[Tensor]:
    """What a contender returns, as a flat sequence."""
    return found if isinstance(found, (tuple, list)) else (found,)


def case(
    what: str,
    net: Net,
    shape: Sequence[int],
    bounds: Sequence[Target],
    series: Mapping[str, float] = MappingProxyType({}),
) -> list[Race]:
    """The three passes of one shape; a training step is the second, which may be part of a series."""
    absent = missing()
    found = []
    for way in ("forward", BACKWARD, "inverse"):
        found.append(
            Race(
                section=NAME,
                name=f"couplings, {what}, {way}",
                reference=NETS,
                contenders={
                    name: partial(step_of, build, net, shape, way)
                    for name, build in BUILDERS.items()
                    if name not in absent
                },
                absent=absent,
                targets=bounds if way == BACKWARD else [],
                series=series if way == BACKWARD else {},
            )
        )
    return found


def sweep(features: int, batch: int, series: Mapping[str, float], hidden: Sequence[int]) -> Race:
    """One more size for the exponents: a training step of those that could be ours, over in seconds."""
    absent = missing()
    build = {name: BUILDERS[name] for name in IN_SWEEPS if name not in absent}
    net, shape = partial(Dense, hidden=hidden), (batch, features)
    return Race(
        section=NAME,
        name=f"couplings, D = {features}, batch {batch}, {BACKWARD}",
        reference=NETS,
        contenders={name: partial(step_of, builder, net, shape, BACKWARD) for name, builder in build.items()},
        absent={name: why for name, why in absent.items() if name in IN_SWEEPS},
        series=series,
        seconds=0.1,
        rounds=5,
    )


def races(small: bool) -> Sequence[Race]:
    """Vectors of 2 and 784 features, images as table 4's first block has them, and two sweeps."""
    if small:
        first = case("D = 4", partial(Dense, hidden=(5,)), (3, 4), targets.COUPLINGS["vectors"], {"D": 4, "batch": 3})
        return [*first, sweep(6, 3, {"D": 6}, (5,)), sweep(4, 5, {"batch": 5}, (5,))]
    hidden, series = (256, 256), {"D": FEATURES, "batch": BATCH}
    return [
        *case("D = 2, batch 100", partial(Dense, hidden=(24, 24, 24)), (100, 2), targets.COUPLINGS["two features"]),
        *case(
            f"D = {FEATURES}, batch {BATCH}",
            partial(Dense, hidden=hidden),
            (BATCH, FEATURES),
            targets.COUPLINGS["vectors"],
            series,
        ),
        *case(
            "4×14×14, batch 100",
            partial(ConvolutionalNet, hidden_channels=16),
            (100, 4, 14, 14),
            targets.COUPLINGS["images"],
        ),
        *(sweep(size, BATCH, {"D": size}, hidden) for size in SIZES),
        *(sweep(FEATURES, batch, {"batch": batch}, hidden) for batch in BATCHES),
    ]


SECTION = Section(NAME, races)
