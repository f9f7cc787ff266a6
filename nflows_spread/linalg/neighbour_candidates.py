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

_FIRST = 2048
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
    width = max(count, _PART // (features + 2))
    # in units of the largest, as float32 overflows early
    unit = max(float((part.double() - center).abs().max()) for each in (x, others) for part in each.split(width))
    unit = unit if 0.0 < unit < float("inf") else 1.0
    # in any order but theirs: where points come sorted, each block would bring better candidates
    order = torch.randperm(len(others), generator=torch.Generator().manual_seed(_SEED))
    best = np.full((n, count), np.inf, dtype=np.float32)
    places = np.zeros((n, count), dtype=np.int64)

    def compare(first: int, start: int, part: Any) -> None:
        rows = slice(first, first + _ROWS)
        queries = np.ones((len(x[rows]), features + 2), dtype=np.float32)
        queries[:, :-2] = (-2.0 / unit) * (x[rows].double() - center).numpy()
        with np.errstate(invalid="ignore"):  # of points that are not finite
            _improve(queries, part, start, best[rows], places[rows])

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(others), width):
            chosen = others[order[start : start + width]]
            part = np.ones((len(chosen), features + 2), dtype=np.float32)  # b, |b|² and 1 for what to compare with
            part[:, :-2] = (chosen.double() - center).numpy() / unit
            np.einsum("ij,ij->i", part[:, :-2], part[:, :-2], out=part[:, -2])
            for _ in pool.map(lambda first, start=start, part=part: compare(first, start, part), range(0, n, _ROWS)):
                pass
    worst = torch.from_numpy(best.max(1)).double()
    return Candidates(order[torch.from_numpy(places)], _bounds(x, center, worst, unit, width))


def _improve(queries: Any, part: Any, start: int, best: Any, places: Any) -> None:
    """Replace candidates, (r, c) in place, by those of a part of the set that are nearer.

    What to compare with is the last column of the queries, less its sign: comparing with 0 costs a third.
    """
    count = best.shape[1]
    if start == 0:
        queries[:, -1] = 0.0
        some = queries @ part[: max(_FIRST, count)].T
        worst = np.partition(some, count - 1, axis=1)[:, count - 1]
    else:
        worst = best.max(1)
    # one memory for all blocks, as fresh pages would cost as much as the products
    room = np.empty(len(queries) * _COLUMNS, dtype=np.float32)
    near = np.empty(len(queries) * _COLUMNS, dtype=np.bool_)
    found: list[Any] = []
    due = 1
    for block, column in enumerate(range(0, len(part), _COLUMNS), 1):
        width = min(_COLUMNS, len(part) - column)
        products, mask = (each[: len(queries) * width].reshape(len(queries), width) for each in (room, near))
        queries[:, -1] = -worst
        np.matmul(queries, part[column : column + width].T, out=products)
        np.less_equal(products, 0.0, out=mask)
        row, place = np.divmod(np.flatnonzero(mask), width)
        found.append((row, start + column + place, products[row, place] + worst[row]))
        if block == due or column + _COLUMNS >= len(part):  # rarely: after each doubling of what was seen
            _merge(best, places, *map(np.concatenate, zip(*found)))
            worst = np.minimum(worst, best.max(1))
            found, due = [], 2 * due


def _merge(best: Any, places: Any, row: Any, place: Any, value: Any) -> None:
    """Put points that were found for rows among their candidates, of which the nearest stay."""
    if not len(row):
        return
    count = best.shape[1]
    order = np.argsort(row, kind="stable")
    row, place, value = row[order], place[order], value[order]
    counts = np.bincount(row, minlength=len(best))
    column = count + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    values = np.full((len(best), count + counts.max()), np.inf, dtype=np.float32)
    indices = np.zeros(values.shape, dtype=np.int64)
    values[:, :count], indices[:, :count] = best, places
    values[row, column], indices[row, column] = value, place
    chosen = np.argpartition(values, count - 1, axis=1)[:, :count]
    best[:] = np.take_along_axis(values, chosen, 1)
    places[:] = np.take_along_axis(indices, chosen, 1)


def _bounds(x: Tensor, center: Tensor, worst: Tensor, unit: float, width: int) -> Tensor:
    """The distance that no point which is no candidate is below, from the worst candidate's |b|² − 2ab, (n,)."""
    found = []
    for rows, values in zip(x.split(width), worst.split(width), strict=True):
        norms = (rows.double() - center).norm(dim=1) / unit
        squares = values + norms.square()
        # rounding of D + 2 terms of at most |a| |b| and of the points themselves, with |b| ≤ |a| + |a − b|
        error = (x.shape[1] + 16) * torch.finfo(torch.float32).eps
        slack = error * (2.0 * norms + squares.clamp_min(0.0).sqrt()).square()
        found.append((squares - slack).clamp_min(0.0).sqrt().nan_to_num(0.0, 0.0, 0.0) * unit)
    return torch.cat(found)
