"""Precomputed neighbours: distances and indices of another library's k-nearest-neighbour search, checked."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
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
        distances: (n, k), nearest first, not negative, a tensor or what ``numpy.asarray`` takes; or a sparse graph
            (n, n) of these that knows the indices, as scikit-learn's ``kneighbors_graph(X, k, mode="distance")``.
        indices: (n, k), whole numbers below n, or None where nobody knows; then they are 0.
        least: neighbours other than itself that each row must have.
        rows: the number that there must be, where it is known.

    Raises:
        TypeError, ValueError: they are no such thing.
    """
    if hasattr(distances, "tocsr"):
        distances, indices = _of_graph(distances, indices)
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


def _of_graph(graph: Any, indices: Any | None) -> tuple[Any, Any]:
    """Distances and indices, (n, k) each, the nearest first, of a sparse graph (n, n)."""
    if indices is not None:
        raise ValueError("indices must be left out where distances are a sparse graph, which has them, got both")
    rows = graph.tocsr()
    counts = np.diff(rows.indptr)
    if rows.shape[0] != rows.shape[1] or len(counts) == 0 or counts.min() != counts.max() or counts[0] == 0:
        raise ValueError(
            "distances as a sparse graph must be (n, n) with as many neighbours in each row, got shape "
            f"{tuple(rows.shape)} with {counts.min() if len(counts) else 0} to {counts.max() if len(counts) else 0}; "
            "take sklearn.neighbors.kneighbors_graph(X, k, mode='distance')"
        )
    distances, places = (each.reshape(len(counts), -1) for each in (rows.data, rows.indices))
    if counts[0] > 1 and bool((distances == 1).all()):
        raise ValueError(
            "distances as a sparse graph must hold distances, got 1 for each neighbour; take "
            "sklearn.neighbors.kneighbors_graph(X, k, mode='distance')"
        )
    order = distances.argsort(axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(places, order, 1)


def without_rows_of_repeats(logs: Tensor, numbers: int) -> Tensor:
    """Those rows, (m, k), that have so many neighbours at another place."""
    return logs[logs[:, numbers - 1].isfinite()]
