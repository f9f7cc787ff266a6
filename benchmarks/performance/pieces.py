"""What a prior in pieces costs: whole training steps with eight pieces against one, in time and in memory.

A step is that of the section ``training``. Tied pieces of the paper's A are asked three times: at the start, where A is
the identity; where every direction of the latents is ten times σ_Z, which is what noise on the data of ten times σ_Z
leaves of the flat ones; and where all but forty directions are flat, which noise on the data does not allow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, SpreadKLLoss
from nflows_spread.distributions.prior import DegeneratePrior
from nflows_spread.factors import Factor, LowerTriangularFactor, LowRankFactor, SpreadCholeskyFactor
from nflows_spread.models import TABLE_4, convolutional_flow
from nflows_spread.training import default_optimizer
from performance import targets
from performance.races import Race, Section, Step, Target

NAME = "pieces"
ONE, TIED, SEPARATE = "one", "8 tied", "8 separate"
PIECES = 8
DATA_NOISE = 0.1
BATCH, SIDE, LARGE_SIDE, RANK = 100, 28, 56, 64
SMALL_BATCH, SMALL_SIDE, SMALL_RANK = 3, 4, 2
STEADY = 10
"""Ten times σ_Z: the scale of the latents in the second race."""
FLAT_BEYOND = 40
"""The rank of A in the third."""

Entries = Callable[[Tensor], Tensor]


def as_it_starts(entries: Tensor) -> Tensor:
    """The identity."""
    return entries


def near_the_noise(entries: Tensor) -> Tensor:
    """All singular values are ten times σ_Z."""
    return STEADY * 0.01 * torch.eye(len(entries))


def of_low_rank(entries: Tensor) -> Tensor:
    """Few columns."""
    drawn = torch.randn(entries.shape, generator=torch.Generator().manual_seed(0)).tril() / len(entries) ** 0.5
    drawn[:, FLAT_BEYOND:] = 0.0
    return drawn


def base_of_name(name: str, features: int, factor: Callable[[int], Factor], entries: Entries) -> DegeneratePrior:
    """The prior of a contender; all have means and start from the same A."""

    def built(number: int) -> Factor:
        new = factor(number)
        with torch.no_grad():
            new.entries.copy_(entries(new.entries))  # type: ignore[attr-defined]
        return new

    if name == ONE:
        return DegenerateGaussian([features], factor=built, learn_mean=True)
    return DegenerateGaussianMixture([features], PIECES, factor=built, tied=name == TIED)


def step_of(name: str, side: int, batch: int, factor: Callable[[int], Factor], entries: Entries = as_it_starts) -> Step:
    """A training step of table 4's network on images of this size."""
    torch.manual_seed(0)
    x = torch.rand(batch, 1, side, side)
    flow = convolutional_flow(
        **{**TABLE_4, "image_shape": (1, side, side)},
        base=base_of_name(name, side**2, factor, entries),
        generator=torch.Generator().manual_seed(0),
    )
    objective = SpreadKLLoss(flow, data_noise=DATA_NOISE)
    optimizer = default_optimizer(objective, learning_rate=1e-6)  # so that A is the same after hundreds of steps

    def step() -> None:
        optimizer.zero_grad()
        objective(x).backward()
        optimizer.step()

    return step


def race(
    name: str,
    contender: str,
    side: int,
    batch: int,
    factor: Callable[[int], Factor],
    entries: Entries = as_it_starts,
    bounds: Sequence[Target] = (),
) -> Race:
    """Eight pieces and one."""
    return Race(
        section=NAME,
        name=f"training step, MNIST's network, D = {side**2}, batch {batch}, {name}",
        reference=ONE,
        contenders={each: partial(step_of, each, side, batch, factor, entries) for each in (ONE, contender)},
        targets=bounds,
    )


def races(small: bool) -> Sequence[Race]:
    """Tied pieces by their A, and pieces of low rank at the size of colour images."""
    side, large, batch = (SMALL_SIDE, SMALL_SIDE, SMALL_BATCH) if small else (SIDE, LARGE_SIDE, BATCH)
    low_rank = LowRankFactor.of_rank(SMALL_RANK if small else RANK)
    dense, bounds = LowerTriangularFactor, targets.PIECES
    return [
        race("LowerTriangularFactor, A = I", TIED, side, batch, dense, bounds=bounds["start"]),
        race("LowerTriangularFactor, A = 10 σ_Z I", TIED, side, batch, dense, near_the_noise, bounds["noise"]),
        race("LowerTriangularFactor, A of rank 40", TIED, side, batch, dense, of_low_rank),
        race("SpreadCholeskyFactor", TIED, side, batch, SpreadCholeskyFactor, bounds=bounds["cholesky"]),
        race("LowRankFactor", SEPARATE, large, batch, low_rank, bounds=bounds["low rank"]),
    ]


SECTION = Section(NAME, races)
