"""Euclidean distances and nearest neighbours that do not cancel far from the origin, in blocks of bounded memory.

|a|² + |b|² − 2ab, which ``torch.cdist`` takes beyond 25 rows, has an error of about ε (|a|² + |b|²): in seconds since
1970 it makes the distance of distinct points 0. Here it serves only about a centre of the data, in float64, and not
for pairs that are near each other for their distance from that centre, whose differences are taken first.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nflows_spread.linalg.neighbour_candidates import candidates_among

_DIFFERENCES, _PRODUCTS = "donot_use_mm_for_euclid_dist", "use_mm_for_euclid_dist"
"""The two ways of ``torch.cdist``, by its own names."""

_FEW_FEATURES = 32
"""The number of features up to which differences cost no more than products, by measurement."""

_CANCELLED = 1e-6
"""Squared distances below this share of |a|² are taken again; of the others float64 leaves 1e-9."""

_MANY = 16
"""Differences for all pairs of a block cost less than one by one for one pair in so many, by measurement."""

_FOR_CENTER = 1000
"""Rows, about, whose mean is the centre, which decides what is fast and not what is right."""

_FEW_POINTS, _MEASURING = 4000, 0.25
"""Points of a set, and points for each number of the candidates of a point, from which on candidates pay, measured."""

_SPARE = 8
"""Candidates beyond half as many again as are asked for: with fewer more bounds are too near, by measurement."""

_TOGETHER = 2**14
"""Points whose candidates are in memory together, some 50 MB, a choice."""

_ENTRIES, _ROWS = 2**21, 2**16
"""Numbers of a block, 16 MB in float64, and rows of the set at a time."""


class Neighbours(NamedTuple):
    """Distances to the nearest neighbours, nearest first, (n, k) in float64, and their indices, (n, k), int64."""

    distances: Tensor
    indices: Tensor


def distances_between(x: Tensor, others: Tensor) -> Tensor:
    """Distances between all points (n, D) and (m, D), shape (n, m), float64, 0 only for equal points."""
    center = _center_of(others)
    others = others.double()
    return _distances(x.double(), others, center, others - center)


def nearest_neighbours(x: Tensor, others: Tensor, k: int, *, skip_equal: bool = False, threads: int = 1) -> Neighbours:
    """The k points of a set that are nearest to each of the given points.

    Beyond the points themselves and the result it takes about 100 MB, whatever n and m. Where there are many pairs
    candidates are sought in float32, measured again, and taken where their bound says that none was missed.

    Args:
        x: points, shape (n, D).
        others: the set, shape (m, D), of at least k points.
        k: how many.
        skip_equal: leave out those at distance 0, as a point's own entry in the set; the last distances are
            infinite where fewer than k are left.
        threads: that seek candidates, on a CPU; they change no digit.
    """
    count = k + k // 2 + _SPARE
    on_cpu = x.device.type == others.device.type == "cpu"
    if not on_cpu or len(others) < max(_FEW_POINTS, _MEASURING * count * x.shape[1]):
        return _by_blocks(x, others, k, skip_equal)
    if len(x) > _TOGETHER:
        parts = [
            nearest_neighbours(part, others, k, skip_equal=skip_equal, threads=threads) for part in x.split(_TOGETHER)
        ]
        return Neighbours(*(torch.cat(each) for each in zip(*parts, strict=True)))
    found = candidates_among(x, others, count, center=_center_of(others), threads=threads)
    nearest = _measured(x, others, found.indices, k, skip_equal)
    unsure = ~(nearest.distances[:, -1] < found.bounds)
    if bool(unsure.any()):
        again = _by_blocks(x[unsure], others, k, skip_equal)
        nearest.distances[unsure], nearest.indices[unsure] = again
    return nearest


def _measured(x: Tensor, others: Tensor, candidates: Tensor, k: int, skip_equal: bool) -> Neighbours:
    """The k nearest of the candidates (n, c) to each point, by differences; of equally near ones the first in order."""
    candidates = candidates.sort(dim=1).values
    distances = x.new_empty(candidates.shape, dtype=torch.float64)
    rows = max(1, _ENTRIES // (x.shape[1] * candidates.shape[1]))
    for part, places, out in zip(x.split(rows), candidates.split(rows), distances.split(rows), strict=True):
        torch.linalg.vector_norm(others[places].double() - part.double().unsqueeze(1), dim=2, out=out)
    if skip_equal:
        distances.masked_fill_(distances == 0.0, math.inf)
    values, order = distances.sort(dim=1, stable=True)
    return Neighbours(values[:, :k].contiguous(), candidates.gather(1, order[:, :k]))


def _by_blocks(x: Tensor, others: Tensor, k: int, skip_equal: bool) -> Neighbours:
    """``nearest_neighbours`` by all distances, in float64, of a block of pairs after the other."""
    center = _center_of(others)
    # made once and filled: small results between large blocks would leave holes in the heap
    best = x.new_zeros(len(x), k, dtype=torch.float64)
    indices = x.new_zeros(len(x), k, dtype=torch.int64)
    width = max(k, min(_ROWS, _ENTRIES // x.shape[1]))
    for start in range(0, len(others), width):
        part = others[start : start + width].double()
        centred = part - center
        height = max(1, _ENTRIES // max(len(part), x.shape[1]))
        for rows in (slice(first, first + height) for first in range(0, len(x), height)):
            distances = _distances(x[rows].double(), part, center, centred)
            if skip_equal:
                distances.masked_fill_(distances == 0.0, math.inf)
            values, order = _smallest(distances, min(k, len(part)))
            if start > 0:  # beside those of the parts before
                values, order = torch.cat([best[rows], values], 1), torch.cat([indices[rows], order + start], 1)
                values, places = values.topk(k, largest=False)
                order = order.gather(1, places)
            best[rows], indices[rows] = values, order
    return Neighbours(best, indices)


def _smallest(distances: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row in ascending order, and where they are.

    On a CPU by NumPy, which parts a row in a third of the time that torch needs.
    """
    if distances.device.type != "cpu":
        found = distances.topk(k, largest=False)
        return found.values, found.indices
    order = torch.from_numpy(np.argpartition(distances.numpy(), k - 1, axis=1)[:, :k])
    values, places = distances.gather(1, order).sort(1)
    return values, order.gather(1, places)


def _center_of(points: Tensor) -> Tensor:
    """The mean of some of them, as a copy of all in float64 may be large."""
    return points[:: max(1, len(points) // _FOR_CENTER)].double().mean(0)


def _distances(x: Tensor, others: Tensor, center: Tensor, centred: Tensor) -> Tensor:
    """Of points in float64, with the others about a centre too, which decides what is fast and not what is right."""
    if x.shape[1] <= _FEW_FEATURES:
        return torch.cdist(x, others, compute_mode=_DIFFERENCES)
    moved = x - center
    found = torch.cdist(moved, centred, compute_mode=_PRODUCTS)
    # where |b| is much larger than |a| so is the distance, and nothing cancels; "not above" catches overflow too
    least = _CANCELLED**0.5 * moved.norm(dim=1, keepdim=True)
    rows, columns = (~(found > least)).nonzero(as_tuple=True)
    if len(rows) > found.numel() // _MANY:
        return torch.cdist(x, others, compute_mode=_DIFFERENCES)
    pairs = max(1, _ENTRIES // x.shape[1])
    for i, j in zip(rows.split(pairs), columns.split(pairs), strict=True):
        found[i, j] = (x[i] - others[j]).norm(dim=1)
    return found
