"""Which factors the pieces of a mixture have: by their kind, and whether they are tied."""

from __future__ import annotations

from collections.abc import Callable

from nflows_spread.factors.interface import Factor
from nflows_spread.factors.pieces import PieceFactors
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.running_pieces import RunningFactors
from nflows_spread.factors.running_tied import RunningTiedFactors
from nflows_spread.factors.separate_pieces import SeparateFactors
from nflows_spread.factors.tied_pieces import TiedFactors


def factors_of_pieces(kind: Callable[[int], Factor], features: int, pieces: int, *, tied: bool) -> PieceFactors:
    """New ones. A single piece is not tied.

    Args:
        kind: builds a factor from the number of features D.
        features: D.
        pieces: M.
        tied: one A at M scales.

    Raises:
        TypeError: the kind has no form with scales, where they are tied.
    """
    if tied and pieces > 1:
        one = kind(features)
        return RunningTiedFactors(one, pieces) if isinstance(one, RunningAverageFactor) else TiedFactors(one, pieces)
    new = [kind(features) for _ in range(pieces)]
    running = [factor for factor in new if isinstance(factor, RunningAverageFactor)]
    return RunningFactors(running) if running else SeparateFactors(new)
