"""Which factors the pieces of a mixture have: by their kind, and whether they are tied."""

from __future__ import annotations

from collections.abc import Callable

from nflows_spread import validation
from nflows_spread.factors.interface import Factor
from nflows_spread.factors.pieces import PieceFactors
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.running_pieces import RunningFactors
from nflows_spread.factors.running_semi_tied import RunningSemiTiedFactors
from nflows_spread.factors.running_tied import RunningTiedFactors
from nflows_spread.factors.separate_pieces import SeparateFactors
from nflows_spread.factors.tied_pieces import TiedFactors

SEMI = "semi"
"""What ``tied`` is for pieces that share a unit triangle and have conditional variances of their own."""


def tie_of(tied: bool | str) -> bool | str:
    """``tied`` if it is one that there is, else ``TypeError`` or ``ValueError``."""
    if isinstance(tied, str) and tied != SEMI:
        raise ValueError(f'tied must be True, False or "{SEMI}", got "{tied}"')
    return tied if isinstance(tied, str) else validation.switch("tied", tied)


def factors_of_pieces(kind: Callable[[int], Factor], features: int, pieces: int, *, tied: bool | str) -> PieceFactors:
    """New ones. A single piece is not tied.

    Args:
        kind: builds a factor from the number of features D.
        features: D.
        pieces: M.
        tied: one A at M scales; or ``SEMI``.

    Raises:
        TypeError: the kind has no form with scales, where they are tied.
    """
    if tied and pieces > 1:
        one = kind(features)
        if tied == SEMI:
            return RunningSemiTiedFactors(_running(one), pieces)
        return RunningTiedFactors(one, pieces) if isinstance(one, RunningAverageFactor) else TiedFactors(one, pieces)
    new = [kind(features) for _ in range(pieces)]
    running = [factor for factor in new if isinstance(factor, RunningAverageFactor)]
    return RunningFactors(running) if running else SeparateFactors(new)


def _running(factor: Factor) -> RunningAverageFactor:
    if not isinstance(factor, RunningAverageFactor):
        raise TypeError(
            f"the factor of semi-tied pieces must be a RunningAverageFactor, got {type(factor).__name__}; take that "
            "one, or tied=True, or tied=False"
        )
    return factor
