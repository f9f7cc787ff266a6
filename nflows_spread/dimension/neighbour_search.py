"""Exact k-nearest-neighbour search in large sets: SciPy's k-d tree for points of few dimensions, else all pairs.

What a tree visits grows with the dimension of the points themselves and little with their number; all pairs cost about
a nanosecond each, whatever the dimension. Both are exact, so that neither the choice nor the number of threads
changes a digit.
"""

from __future__ import annotations

import importlib.util
import math
import os

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.maximum_likelihood import inverse_dimensions
from nflows_spread.linalg.distances import Neighbours, nearest_neighbours

_MANY_POINTS = 5_000
"""Points whose neighbours are sought from which on a tree is looked at: a choice, as fewer take a second in any way."""

_TREE_DIMENSION = 3.5
"""The dimension of the points up to which a tree beats all pairs: measured at 30 000 and 100 000 points of 20 and of 50
features (docs/intrinsic_dimension.md)."""

_PROBES = 200
"""Points whose neighbours tell the dimension of all, about: a choice, for time."""

_ROWS = 10_000
"""Rows that a tree is asked about together: a choice, for memory."""


def neighbours_among(x: Tensor, others: Tensor, k: int, *, n_jobs: int | None = None) -> Neighbours:
    """The k points of a set nearest to each of the given points, without those that are equal to it.

    Args:
        x: points, shape (n, D), float64.
        others: the set, shape (m, D), float64, of more than k points, all distinct.
        k: how many, at least 3.
        n_jobs: threads of the search, −1 for all cores; by default one.

    Raises:
        TypeError, ValueError: ``n_jobs`` is no integer or 0.
    """
    threads = threads_of(n_jobs)
    if len(x) >= _MANY_POINTS and x.device.type == "cpu" and importlib.util.find_spec("scipy") is not None:
        some = nearest_neighbours(x[:: math.ceil(len(x) / _PROBES)], others, k, skip_equal=True)
        if float(1.0 / inverse_dimensions(some.distances.log(), k).mean()) < _TREE_DIMENSION:
            return _by_tree(x, others, k, threads)
    return nearest_neighbours(x, others, k, skip_equal=True, threads=threads)


def threads_of(n_jobs: int | None) -> int:
    """The number of threads that ``n_jobs`` asks for, as joblib has it: −1 for all cores, −2 for all but one."""
    if n_jobs is None:
        return 1
    if n_jobs == 0:
        raise ValueError("n_jobs must be a number of threads, or -1 for all cores, got 0")
    if isinstance(n_jobs, int) and n_jobs < 0:
        return max(1, (os.cpu_count() or 1) + 1 + n_jobs)
    return validation.positive_int("n_jobs", n_jobs)


def _by_tree(x: Tensor, others: Tensor, k: int, threads: int) -> Neighbours:
    from scipy.spatial import KDTree

    tree = KDTree(others.numpy())
    best, indices = x.new_empty(len(x), k), torch.empty(len(x), k, dtype=torch.int64)
    for start in range(0, len(x), _ROWS):
        distances, places = map(torch.from_numpy, tree.query(x[start : start + _ROWS].numpy(), k + 1, workers=threads))
        distances, order = distances.masked_fill_(distances == 0.0, math.inf).sort(dim=1, stable=True)
        best[start : start + _ROWS] = distances[:, :k]
        indices[start : start + _ROWS] = places.gather(1, order[:, :k])
    return Neighbours(best, indices)
