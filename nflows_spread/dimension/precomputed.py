"""Precomputed neighbours: distances and indices of another library's k-nearest-neighbour search, checked."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nflows_spread.arrays import rows_of
from nflows_spread.dimension.maximum_likelihood import NEIGHBOURS

FEWEST_NEIGHBOURS = NEIGHBOURS[1]
"""Neighbours of each row, at the least: those by which the nearest estimates are made, a choice."""


def neighbours_given(
    distances: Any, indices: Any | None, *, least: int = FEWEST_NEIGHBOURS, rows: int | None = None
) -> tuple[Tensor, Tensor]:
    """Logarithms of the distances to the nearest other rows, (n, k), and which these are, (n, k), int64.

    A first column in which each row has itself is left out, and distances of 0 to other rows, repetitions, become
    infinite and the last.

    Args:
        distances: (n, k), nearest first, not negative, a tensor or what ``numpy.asarray`` takes.
        indices: (n, k), whole numbers below n, or None where nobody knows; then they are 0.
        least: neighbours other than itself that each row must have.
        rows: the number that there must be, where it is known.

    Raises:
        TypeError, ValueError: they are no such thing.
    """
    given = rows_of("distances", distances).double()
    if rows is not None and len(given) != rows:
        raise ValueError(f"distances must have a row for each of the {rows} points, got {len(given)}")
    if bool((given < 0.0).any()):
        raise ValueError(f"distances must not be negative, got {float(given.min())}; pass roots of squares")
    if bool((given.diff(dim=1) < 0.0).any()):
        row = int((given.diff(dim=1) < 0.0).any(1).nonzero()[0])
        raise ValueError(f"distances must be nearest first, got others in row {row}; sort each row, indices with it")
    if indices is None:
        places = torch.zeros(given.shape, dtype=torch.int64)
    else:
        places = rows_of("indices", indices).long()
        if places.shape != given.shape or bool((places < 0).any()) or int(places.max()) >= len(given):
            raise ValueError(
                f"indices must be {tuple(given.shape)} row numbers from 0 to {len(given) - 1}, got shape "
                f"{tuple(places.shape)} from {int(places.min())} to {int(places.max())}"
            )
    mine = places == torch.arange(len(given)).unsqueeze(1)
    named = indices is not None and bool(mine.any(1).all())  # also where rounding leaves a distance to itself
    if named or bool((given[:, 0] == 0.0).all()):  # each row's own
        own = mine.double().argmax(1, keepdim=True)
        kept = torch.ones_like(given, dtype=torch.bool).scatter_(1, own, False)
        given, places = (each[kept].view(len(given), -1) for each in (given, places))
    if given.shape[1] < least:
        raise ValueError(
            f"distances must be to at least {least} other points, got {given.shape[1]}; ask for {least + 1} neighbours "
            "where each row is its own"
        )
    given = given.masked_fill(given == 0.0, math.inf)
    given, order = given.sort(dim=1, stable=True)
    return given.log(), places.gather(1, order)


def without_rows_of_repeats(logs: Tensor, numbers: int) -> Tensor:
    """Those rows, (m, k), that have so many neighbours at another place."""
    return logs[logs[:, numbers - 1].isfinite()]
