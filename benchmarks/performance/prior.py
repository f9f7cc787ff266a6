"""What the prior costs a training step: forward and backward, each kind of factor against torch.distributions.

The kinds of factor have float32 parameters and points, as in training, and do their arithmetic in float64; the
references are given in the precision of their name, have a covariance that depends on A, and use autograd; what they
lose in float32 is in ``prior_precision``. A running average is timed with the update of its average.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from nflows_spread import DegenerateGaussian
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor
from performance import targets
from performance.prior_precision import SPREAD_VARIANCE, from_covariance, trials
from performance.races import Race, Section, Step

NAME = "prior"
SIZES, BATCHES, SIZE_OF_BATCHES = (2, 64, 784, 3072, 12288), (25, 100, 400, 1600), 784
SMALL_SIZES, SMALL_BATCHES = (2, 5), (3, 6)
BATCH = 100
RANK = 64
FITTED_FROM = 784
"""Below, overhead counts for more than arithmetic."""
LARGEST_CUBIC = 4096
"""Above, one step of a contender that decomposes a D×D matrix takes from half a minute to minutes."""
MATRICES = 6
"""How many D×D float64 matrices a step of a contender may hold at a time."""

REFERENCE, FLOAT32 = "MultivariateNormal float64", "MultivariateNormal float32"
LOW_RANK_REFERENCE, LOW_RANK_FLOAT32 = "LowRankMultivariateNormal float64", "LowRankMultivariateNormal float32"
DENSE, SPREAD_CHOLESKY = "LowerTriangularFactor", "SpreadCholeskyFactor"
LOW_RANK, RUNNING_AVERAGE = f"LowRankFactor, {RANK} columns", "RunningAverageFactor"


def kind(factor: Callable[[int], Any]) -> Callable[[int, int], Step]:
    """A training step's share of a ``DegenerateGaussian`` with this factor."""

    def build(features: int, batch: int) -> Step:
        base = DegenerateGaussian([features], spread_variance=SPREAD_VARIANCE, factor=factor)
        perturb(base)
        z = torch.randn(batch, features, requires_grad=True)
        leaves = [z, *base.parameters()]

        def step() -> None:
            for leaf in leaves:
                leaf.grad = None
            base.observe(z)
            (-base.log_prob(z).mean()).backward()

        return step

    return build


def reference(density: Callable[[Tensor], Any], dtype: torch.dtype, rank: int | None = None) -> Callable[..., Step]:
    """The same with a density from ``torch.distributions``, rebuilt in each step because A changes, and autograd."""

    def build(features: int, batch: int) -> Step:
        columns = features if rank is None else min(rank, features)
        a = nn.Parameter(torch.eye(features, columns, dtype=dtype))
        perturb(nn.ParameterList([a]))
        z = torch.randn(batch, features, dtype=dtype, requires_grad=True)

        def step() -> None:
            a.grad = z.grad = None
            (-density(a).log_prob(z).mean()).backward()

        return step

    return build


@torch.no_grad()
def perturb(module: nn.Module) -> None:
    """Off the identity, so that nothing is zero by chance; well conditioned, so that float32 references survive."""
    for parameter in module.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.1 / math.sqrt(len(parameter)))


def from_cholesky(a: Tensor) -> MultivariateNormal:
    """N(0, LLᵀ) with the triangle of A as L."""
    return MultivariateNormal(a.new_zeros(len(a)), scale_tril=a.tril())


def low_rank(a: Tensor) -> LowRankMultivariateNormal:
    """N(0, AAᵀ + σ_Z² I) for A with few columns."""
    return LowRankMultivariateNormal(a.new_zeros(len(a)), a, torch.full_like(a[:, 0], SPREAD_VARIANCE))


CONTENDERS: dict[str, Callable[[int, int], Step]] = {
    REFERENCE: reference(from_covariance, torch.float64),
    FLOAT32: reference(from_covariance, torch.float32),
    "MultivariateNormal(scale_tril) float64": reference(from_cholesky, torch.float64),
    LOW_RANK_REFERENCE: reference(low_rank, torch.float64, RANK),
    LOW_RANK_FLOAT32: reference(low_rank, torch.float32, RANK),
    DENSE: kind(LowerTriangularFactor),
    SPREAD_CHOLESKY: kind(SpreadCholeskyFactor),
    LOW_RANK: kind(lambda features: LowRankFactor(features, min(RANK, features))),
    RUNNING_AVERAGE: kind(RunningAverageFactor),
}
CUBIC = {REFERENCE, FLOAT32, DENSE, RUNNING_AVERAGE}


def absent(name: str, features: int) -> str | None:
    """Why a contender sits a size out, or None."""
    if name in CUBIC and features > LARGEST_CUBIC:
        return f"its time grows as D³: {(features / 3072) ** 3:.0f} times that at 3072"
    needed = MATRICES * 8 * features * (max(RANK, BATCH) if "Rank" in name else features)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"may need {needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free" if needed > free else None


def race(features: int, batch: int, series: dict[str, float]) -> Race:
    """All contenders at one size."""
    out = {name: why for name in CONTENDERS if (why := absent(name, features)) is not None}
    return Race(
        section=NAME,
        name=f"prior, D = {features}, batch {batch}",
        reference=next(name for name in (REFERENCE, LOW_RANK_REFERENCE) if name not in out),
        contenders={name: partial(build, features, batch) for name, build in CONTENDERS.items() if name not in out},
        absent=out,
        targets=targets.PRIOR.get(features, []) if batch == BATCH else [],
        series=series,
    )


def races(small: bool) -> Sequence[Race]:
    """Sizes at one batch, then batches at one size."""
    sizes, batches = (SMALL_SIZES, SMALL_BATCHES) if small else (SIZES, BATCHES)
    size_of_batches = sizes[-1] if small else SIZE_OF_BATCHES
    found = []
    for features in sizes:
        series: dict[str, float] = {"D": features} if features >= FITTED_FROM or small else {}
        if features == size_of_batches and BATCH in batches:
            series["batch"] = BATCH
        found.append(race(features, BATCH, series))
    return found + [race(size_of_batches, batch, {"batch": batch}) for batch in batches if batch != BATCH]


SECTION = Section(NAME, races, growth=[targets.PRIOR_GROWTH], trials=trials)
