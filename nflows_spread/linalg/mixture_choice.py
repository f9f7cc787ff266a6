"""How many Gaussians a mixture has, and how far their shapes are shrunk towards one: by cross-validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from nflows_spread.linalg.expectation_maximization import FittedPieces, expectation_maximization
from nflows_spread.linalg.gaussian_mixture import log_prob_of_mixture
from nflows_spread.linalg.paired_comparison import above_by, standard_error

_ENOUGH_HELD_OUT = 200
"""Held-out rows from which on no further fold is asked how many pieces there are: a choice, for time."""

_CLEARLY = 2.0
"""Standard errors by which one fit must be above another to be better: a choice."""


def fit_pieces(
    z: Tensor,
    pieces: int | Sequence[int],
    *,
    folds: int = 5,
    within: float = 1.0,
    pseudo_counts: float | Sequence[float] | None = None,
    variance_floor: float = 1e-6,
    tolerance: float = 1e-4,
    starts: int = 1,
    generator: torch.Generator | None = None,
) -> FittedPieces:
    """A mixture of M Gaussians; of several M the fewest that are as good as the best by held-out likelihood.

    Standard errors are those of the differences row by row, in a cross-validation of as many folds as have 200 rows
    together. Numbers are tried in order, up to the first that is worse than the best by two of them. Each further ν is
    tried with the number that was found, and where it is better by two of them with ever fewer, as long as that helps:
    pieces of different shapes, planes in several directions, need a small ν, few rows in many features a large one.

    The more pieces there are, the less density is left for a row far from all others, and a few of these would decide:
    mixtures are compared with that of the fewest pieces added to each, at the weight of one row.

    Args:
        z: points, shape (n, K).
        pieces: M, or the numbers to choose from; those above the rows of a training fold are left out.
        folds: of the cross-validation.
        within: standard errors within which a number is as good as the best; 0 takes the best.
        pseudo_counts: ν, or the values to choose from, the first of which is that by which M is found.
        variance_floor: the least eigenvalue.
        tolerance: of each fit.
        starts: starts of each fit.
        generator: source of the starts and of the folds.

    Raises:
        ValueError: no number of pieces or no ν is left to choose, or what ``expectation_maximization`` raises.
    """
    fitted = partial(
        expectation_maximization,
        variance_floor=variance_floor,
        tolerance=tolerance,
        starts=starts,
        generator=generator,
    )
    shrinkages = list(pseudo_counts) if isinstance(pseudo_counts, Sequence) else [pseudo_counts]
    if not shrinkages:
        raise ValueError("pseudo_counts must hold a number to choose, got none")
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    first, *others = shrinkages
    most = len(z) - -(-len(z) // folds)
    asked = [pieces] if isinstance(pieces, int) else list(pieces)
    numbers = asked if isinstance(pieces, int) else sorted({number for number in asked if number <= most})
    if not numbers:
        raise ValueError(f"pieces must hold a number of at most {most} for {len(z)} rows, got {asked}")
    if len(numbers) == 1 and not others:
        return fitted(z, numbers[0], pseudo_counts=first)
    shuffled = z[torch.empty(len(z), device=z.device).uniform_(generator=generator).argsort()]
    asked_of = _folds(shuffled, folds)
    if not asked_of:  # of rows that are nearly all one that is repeated
        return fitted(z, numbers[0], pseudo_counts=first)

    def held_out(number: int, shrinkage: float | None) -> Tensor:
        fits = [(part, fitted(rest, number, pseudo_counts=shrinkage)) for part, rest in asked_of]
        return torch.cat([log_prob_of_mixture(part.double(), *fit[:3]) for part, fit in fits])

    broad, share = held_out(numbers[0], first), 1.0 / len(z)

    def beside_broad(log_density: Tensor) -> Tensor:
        return torch.logaddexp(log_density + math.log1p(-share), broad + math.log(share))

    tried = [broad]
    for number in numbers[1:]:
        tried.append(beside_broad(held_out(number, first)))
        if above_by(_CLEARLY, _best(tried), tried[-1]):
            break
    best = _best(tried)
    good = [float((best - one).mean()) <= within * standard_error(best - one) for one in tried]
    place, chosen = good.index(True), first
    reached = tried[place]
    for other in others:
        found = beside_broad(held_out(numbers[place], other))
        if not above_by(_CLEARLY, found, reached):
            continue
        chosen, reached = other, found
        while place > 0:
            fewer = beside_broad(held_out(numbers[place - 1], other))
            if not float(fewer.mean()) > float(reached.mean()):
                break
            place, reached = place - 1, fewer
    return fitted(z, numbers[place], pseudo_counts=chosen)


def _best(tried: Sequence[Tensor]) -> Tensor:
    return max(tried, key=lambda values: float(values.mean()))


def _folds(z: Tensor, folds: int) -> list[tuple[Tensor, Tensor]]:
    """Rows, and all others, which are not all equal: of so many folds as hold enough rows."""
    parts = z.chunk(folds)
    asked = min(len(parts), -(-_ENOUGH_HELD_OUT // len(parts[0])))
    found = [(parts[i], torch.cat([*parts[:i], *parts[i + 1 :]])) for i in range(asked)]
    return [(part, rest) for part, rest in found if bool((rest != rest[0]).any())]
