"""The price of the method: whole training steps, with a learnable prior against the same flow with a fixed one.

A step is everything that ``fit`` does with a batch: noise on the data, the loss, its gradient, the fused Adam. The
reference is the same volume-preserving network, start and noise under maximum likelihood with nflows'
``StandardNormal``; the traditional flow, whose scales are free, stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import torch
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn

from baselines.fixed_prior import NegativeLogLikelihood
from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from nflows_spread.models import TABLE_1, TABLE_3, TABLE_4, convolutional_flow, coupling_flow
from nflows_spread.training import default_optimizer
from performance import targets
from performance.races import Race, Section, Step, Target

NAME = "training"
FIXED, FREE = "fixed prior", "fixed prior, free scales"
DATA_NOISE = 0.05
BATCH = 100
SIZES, BATCHES = (16, 56), (25, 400)
"""Sides of images and batches, beside MNIST's, to see how time grows."""
RANK = 64
LAG = 0.05
LAGGING = f"RunningAverageFactor, lag {LAG}"
LOW_RANK = f"LowRankFactor, {RANK} columns"
IN_SWEEPS = (FIXED, LAGGING, "SpreadCholeskyFactor", LOW_RANK)
"""Those that no image is too large for."""
BASES: dict[str, Callable[[int], Distribution]] = {
    FIXED: lambda features: StandardNormal([features]),
    FREE: lambda features: StandardNormal([features]),
    "RunningAverageFactor": lambda features: DegenerateGaussian(
        [features], factor=RunningAverageFactor, learn_mean=True
    ),
    LAGGING: lambda features: DegenerateGaussian(
        [features], factor=RunningAverageFactor.of_decay(0.99, lag=LAG), learn_mean=True
    ),
    "SpreadCholeskyFactor": lambda features: DegenerateGaussian([features], factor=SpreadCholeskyFactor),
    LOW_RANK: lambda features: DegenerateGaussian([features], factor=LowRankFactor.of_rank(min(RANK, features))),
    "LowerTriangularFactor": lambda features: DegenerateGaussian([features], factor=LowerTriangularFactor),
}


def step_of(build: Callable[..., Flow], data: Callable[[], Tensor], name: str) -> Step:
    """A training step with this base; the same weights for all."""
    torch.manual_seed(0)
    x = data()
    flow = build(
        base=BASES[name](x[0].numel()),
        volume_preserving=name != FREE,
        generator=torch.Generator().manual_seed(0),
    )
    objective: nn.Module
    if name in (FIXED, FREE):
        objective = NegativeLogLikelihood(flow, data_noise=DATA_NOISE)
    else:
        objective = SpreadKLLoss(flow, data_noise=DATA_NOISE)
        factor = objective.base.factor
        if isinstance(factor, RunningAverageFactor):  # past its first steps, where most of a training lies
            factor.assign(torch.eye(x[0].numel()), objective.base.spread_variance)
    optimizer = default_optimizer(objective)

    def step() -> None:
        optimizer.zero_grad()
        objective(x).backward()
        optimizer.step()

    return step


def race(
    name: str,
    build: Callable[..., Flow],
    data: Callable[[], Tensor],
    bounds: Sequence[Target] = (),
    series: Mapping[str, float] = MappingProxyType({}),
) -> Race:
    """All bases on one network."""
    return Race(
        section=NAME,
        name=f"training step, {name}",
        reference=FIXED,
        contenders={base: partial(step_of, build, data, base) for base in BASES},
        targets=bounds,
        series=series,
    )


def sweep(side: int, batch: int, series: Mapping[str, float]) -> Race:
    """MNIST's network on images of another size, or another batch, for the exponents."""
    build = partial(convolutional_flow, **{**TABLE_4, "image_shape": (1, side, side)})
    return Race(
        section=NAME,
        name=f"training step, MNIST's network, D = {side**2}, batch {batch}",
        reference=FIXED,
        contenders={base: partial(step_of, build, images(side, batch), base) for base in IN_SWEEPS},
        series=series,
        seconds=0.1,
        rounds=3,
    )


def images(size: int, batch: int) -> Callable[[], Tensor]:
    """Grey images; what they show does not matter for time."""
    return partial(torch.rand, batch, 1, size, size)


def races(small: bool) -> Sequence[Race]:
    """The toys', the fading square's and MNIST's networks, and two sweeps of the last."""
    toy = partial(coupling_flow, **TABLE_1)
    if small:
        first = race("table 1", toy, partial(torch.randn, 5, 2), targets.TRAINING)
        return [first, sweep(4, 3, {"D": 16, "batch": 3}), sweep(8, 3, {"D": 64}), sweep(4, 5, {"batch": 5})]
    return [
        race(f"toy (table 1), batch {BATCH}", toy, partial(torch.randn, BATCH, 2)),
        race(f"fading square (table 3), batch {BATCH}", partial(convolutional_flow, **TABLE_3), images(32, BATCH)),
        race(
            f"MNIST (table 4), batch {BATCH}",
            partial(convolutional_flow, **TABLE_4),
            images(28, BATCH),
            targets.TRAINING,
            {"D": 784, "batch": BATCH},
        ),
        *(sweep(side, BATCH, {"D": side**2}) for side in SIZES),
        *(sweep(28, batch, {"batch": batch}) for batch in BATCHES),
    ]


SECTION = Section(NAME, races)
