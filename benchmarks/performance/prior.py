"""What the prior costs a training step: forward and backward, each kind of factor against torch.distributions.

Run ``python benchmarks/performance/prior.py``; it prints one table and writes ``prior.json``. All
contenders of a size take turns in one process, so that they meet the same machine. A ratio is the median over
rounds of the time of ``MultivariateNormal`` (float64, a covariance that depends on A, with autograd)
over that of the contender in the same round. The kinds of factor have float32 parameters and points,
as in training, and do their arithmetic in float64; the references are given in the precision of
their name. A running average is timed with the update of its average.
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import LowRankMultivariateNormal, MultivariateNormal

from nflows_spread import DegenerateGaussian
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, RunningAverageFactor, SpreadCholeskyFactor

if not __package__:  # run as a script: the benchmarks' own modules are one folder up
    sys.path.insert(0, str(Path(__file__).parents[1]))
import records
from performance.timing import Step, compare

SIZES = (2, 64, 784, 3072, 12288)
BATCH = 100
BATCHES = (25, 100, 400, 1600)
SIZE_OF_BATCHES = 784
RANK = 64
SPREAD_VARIANCE = 1e-4
FITTED_FROM = 784
REFERENCE = "MultivariateNormal float64"


def kind(factor: Callable[[int], Any]) -> Callable[[int, int], Step]:
    """A training step's share of a ``DegenerateGaussian`` with this factor."""

    def build(features: int, batch: int) -> Step:
        base = DegenerateGaussian([features], spread_variance=SPREAD_VARIANCE, factor=factor)
        perturb(base)
        z = torch.randn(batch, features, requires_grad=True)

        def step() -> None:
            base.zero_grad()
            z.grad = None
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


def full(a: Tensor) -> MultivariateNormal:
    """N(0, AAᵀ + σ_Z² I) for a lower-triangular A."""
    a = a.tril()
    return MultivariateNormal(a.new_zeros(len(a)), a @ a.mT + SPREAD_VARIANCE * torch.eye(len(a), dtype=a.dtype))


def from_cholesky(a: Tensor) -> MultivariateNormal:
    """N(0, LLᵀ) with the triangle of A as L."""
    return MultivariateNormal(a.new_zeros(len(a)), scale_tril=a.tril())


def low_rank(a: Tensor) -> LowRankMultivariateNormal:
    """N(0, AAᵀ + σ_Z² I) for A with few columns."""
    return LowRankMultivariateNormal(a.new_zeros(len(a)), a, torch.full_like(a[:, 0], SPREAD_VARIANCE))


CONTENDERS: dict[str, Callable[[int, int], Step]] = {
    REFERENCE: reference(full, torch.float64),
    "MultivariateNormal float32": reference(full, torch.float32),
    "MultivariateNormal(scale_tril) float64": reference(from_cholesky, torch.float64),
    "LowRankMultivariateNormal float64": reference(low_rank, torch.float64, RANK),
    "LowRankMultivariateNormal float32": reference(low_rank, torch.float32, RANK),
    "LowerTriangularFactor": kind(LowerTriangularFactor),
    "SpreadCholeskyFactor": kind(SpreadCholeskyFactor),
    "LowRankFactor, 64 columns": kind(lambda features: LowRankFactor(features, min(RANK, features))),
    "RunningAverageFactor": kind(RunningAverageFactor),
}
MATRICES = 12
"""How many D×D float64 matrices a step of a dense contender may hold at a time; generous."""


def too_large(name: str, features: int, before: tuple[int, float] | None, limit: float) -> str | None:
    """Why a contender sits a size out, or None. ``before`` is its last size and seconds there."""
    low_rank = "Rank" in name
    quadratic = low_rank or "Cholesky" in name or "scale_tril" in name
    if before is not None and before[0] >= FITTED_FROM:  # below, overhead counts for more than arithmetic
        seconds = before[1] * (features / before[0]) ** (2 if quadratic else 3)
        if seconds > limit:
            return f"about {seconds:.0f} s a step, more than the limit of {limit:g} s"
    needed = MATRICES * 8 * features * (max(RANK, BATCH) if low_rank else features)
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"may need {needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free" if needed > free else None


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of log seconds over log size, by least squares."""
    if len(points) < 2:
        return None
    return statistics.linear_regression(*zip(*((math.log(x), math.log(y)) for x, y in points))).slope


def over_sizes(sizes: Sequence[int], rounds: int, seconds: float, limit: float, budget: float) -> dict[str, Any]:
    """All contenders at each size, and the exponents of time in D."""
    times: dict[str, list[tuple[int, float]]] = {name: [] for name in CONTENDERS}
    table: dict[str, Any] = {}
    for features in sizes:
        skipped = {
            name: why
            for name in CONTENDERS
            if (why := too_large(name, features, (times[name] or [None])[-1], limit)) is not None
        }
        steps = {name: build(features, BATCH) for name, build in CONTENDERS.items() if name not in skipped}
        measured = compare(steps, rounds, seconds, budget)
        for name, found in measured.items():
            times[name].append((features, found.median))
        rows = {name: found.as_json(measured.get(REFERENCE)) for name, found in measured.items()}
        table[str(features)] = {**rows, **{name: {"skipped": why} for name, why in skipped.items()}}
        print(rows_of(features, table[str(features)]), flush=True)
    large = {name: [point for point in found if point[0] >= FITTED_FROM] for name, found in times.items()}
    return {"batch": BATCH, "sizes": table, "exponents": {name: exponent(found) for name, found in large.items()}}


def over_batches(features: int, batches: Sequence[int], rounds: int, seconds: float) -> dict[str, Any]:
    """All contenders at one size, and the exponents of time in the batch."""
    times: dict[str, list[tuple[int, float]]] = {name: [] for name in CONTENDERS}
    for batch in batches:
        steps = {name: build(features, batch) for name, build in CONTENDERS.items()}
        for name, found in compare(steps, rounds, seconds).items():
            times[name].append((batch, found.median))
    seconds_at = {name: {str(batch): value for batch, value in found} for name, found in times.items()}
    return {
        "features": features,
        "seconds": seconds_at,
        "exponents": {name: exponent(found) for name, found in times.items()},
    }


def rows_of(features: int, rows: dict[str, Any]) -> str:
    """The lines of the table for one size."""
    lines = []
    for name, row in rows.items():
        if "skipped" in row:
            lines.append(f"{features:6}  {name:40} skipped: {row['skipped']}")
            continue
        low, high = row["quartiles"]
        ratio = f"{row['ratio']:8.2f}×" if "ratio" in row else "        –"
        lines.append(
            f"{features:6}  {name:40}{1e3 * row['seconds']:11.3f} ms  ({1e3 * low:.3f} to {1e3 * high:.3f})  "
            f"{ratio}  {row['peak_bytes'] / 2**20:9.1f} MiB"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of features D")
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="for the exponent in the batch")
    parser.add_argument("--rounds", type=int, default=5, help="how often the contenders take turns")
    parser.add_argument("--seconds", type=float, default=0.2, help="of one contender in one round, if it is fast")
    parser.add_argument("--budget", type=float, default=45.0, help="seconds for one size; two rounds are made anyway")
    parser.add_argument("--limit", type=float, default=8.0, help="seconds a step above which a contender sits out")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results", help="folder for the result")
    options = parser.parse_args(given)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = over_sizes(options.sizes, options.rounds, options.seconds, options.limit, options.budget)
    size = min(SIZE_OF_BATCHES, max(options.sizes))
    batches = over_batches(size, options.batches, options.rounds, options.seconds)
    for name in CONTENDERS:
        found = [part["exponents"][name] for part in (sizes, batches)]
        in_features, in_batch = ("   –" if value is None else f"{value:4.2f}" for value in found)
        print(f"time of {name:40} grows as D^{in_features} from {FITTED_FROM} on, and as batch^{in_batch} at {size}")
    shown = [text for text in given if text != "--out" and text != str(options.out)]
    command = shlex.join(["python", "benchmarks/performance/prior.py", *shown])
    records.write(
        options.out / "prior.json",
        {**records.provenance(command), "reference": REFERENCE, "by_size": sizes, "by_batch": batches},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
