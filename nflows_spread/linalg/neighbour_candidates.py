"""Candidates for nearest neighbours, by products in float32, and a bound on how near those may be that were missed.

|b|² − 2ab costs one product of matrices, whose entries are compared with the worst candidate so far; few are below it.
So a pair costs about a nanosecond, as in faiss' flat index, a fifth of what it takes to part distances in float64.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

_ROWS, _COLUMNS = 512, 4096
"""Of a block of products, which fits into the cache of a core, by measurement."""

_FIRST = 1024
"""Points among which the first candidates are sought, which bounds how many pass in the first block; by measurement."""

_SEED = 0
"""Of the order in which the set is gone through, always the same."""

_PART = 2**22
"""Numbers of the set that are in float32 at a time, 16 MB."""


class Candidates(NamedTuple):
    """For each of n points the indices of c points, (n, c), and a bound: all others are farther, (n,), float64."""

    indices: Tensor
    bounds: Tensor


def candidates_among(x: Tensor, others: Tensor, count: int, *, center: Tensor, threads: int = 1) -> Candidates:
    """So many points of a set that are about the nearest to each of the given points.

    The bound covers what float32 leaves uncertain, and is 0 where that is all.

    Args:
        x: points, shape (n, D), on the CPU.
        others: the set, shape (m, D), on the CPU, m at least ``count``.
        count: c.
        center: of the set, (D,), about which the products are taken.
        threads: that work on different points; they change no digit.
    """
    n, features = x.shape
    width = max(count, _PART // (features + 1))
    # in units of the largest, as float32 overflows early
    unit = max(float((part.double() - center).abs().max()) for each in (x, others) for part in each.split(width))
    unit = unit if 0.0 < unit < float("inf") else 1.0
    # in any order but theirs: where points come sorted, each block would bring better candidates
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(_SEED))
    best = np.full((n, count), np.inf, dtype=np.float32)
    places = np.zeros((n, count), dtype=np.int64)

    def compare(first: int, start: int, part: Any) -> None:
        rows = slice(first, first + _ROWS)
        queries = np.ones((len(x[rows]), features + 1), dtype=np.float32)
        queries[:, :-1] = (-2.0 / unit) * (x[rows].double() - center).numpy()
        _improve(queries, part, start, best[rows], places[rows])

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(others), width):
            chosen = others[order[start : start + width]]
            part = np.empty((len(chosen), features + 1), dtype=np.float32)
            part[:, :-1] = (chosen.double() - center).numpy() / unit
            np.einsum("ij,ij->i", part[:, :-1], part[:, :-1], out=part[:, -1])
            for _ in pool.map(lambda first, start=start, part=part: compare(first, start, part), range(0, n, _ROWS)):
                pass
    worst = torch.from_numpy(best.max(1)).double()
    return Candidates(order[torch.from_numpy(places)], _bounds(x, center, worst, unit, width))


def _improve(queries: Any, part: Any, start: int, best: Any, places: Any) -> None:
    """Replace candidates, (r, c) in place, by those of a part of the set that are nearer."""
    count = best.shape[1]
    if start == 0:
        some = queries @ part[: max(_FIRST, count)].T
        worst = np.partition(some, count - 1, axis=1)[:, count - 1]
    else:
        worst = best.max(1)
    for column in range(0, len(part), _COLUMNS):
        products = queries @ part[column : column + _COLUMNS].T
        row, place = np.divmod(np.flatnonzero(products <= worst[:, None]), products.shape[1])
        if not len(row):
            continue
        counts = np.bincount(row, minlength=len(best))
        order = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        values = np.full((len(best), count + counts.max()), np.inf, dtype=np.float32)
        indices = np.zeros(values.shape, dtype=np.int64)
        values[:, :count], indices[:, :count] = best, places
        values[row, count + order], indices[row, count + order] = products[row, place], start + column + place
        chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
        best[:] = np.take_along_axis(values, chosen, 1)
        places[:] = np.take_along_axis(indices, chosen, 1)
        worst = np.minimum(worst, best.max(1))


def _bounds(x: Tensor, center: Tensor, worst: Tensor, unit: float, width: int) -> Tensor:
    """The distance that no point which is no candidate is below, from the worst candidate's |b|² − 2ab, (n,)."""
    found = []
    for rows, values in zip(x.split(width), worst.split(width), strict=True):
        norms = (rows.double() - center).norm(dim=1) / unit
        squares = values + norms.square()
        # rounding of D + 1 terms of at most |a| |b| and of the points themselves, with |b| ≤ |a| + |a − b|
        error = (x.shape[1] + 9) * torch.finfo(torch.float32).eps
        slack = error * (2.0 * norms + squares.clamp_min(0.0).sqrt()).square()
        found.append((squares - slack).clamp_min(0.0).sqrt().nan_to_num(0.0, 0.0, 0.0) * unit)
    return torch.cat(found)
