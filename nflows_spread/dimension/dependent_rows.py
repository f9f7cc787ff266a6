"""Rows that are not independent: groups of repeated measurements, and a Theiler window for series.

A subject that was measured often, the frames of one video or the successive states of a path are neighbours because
they belong together, whatever set they fill. They are no neighbours of each other here, and where several are nearer to
each other than to any other row, one stands for them, as the others would be the neighbours of every row at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.distinct_points import FEWEST_POINTS, first_of_equal
from nflows_spread.linalg.distances import Neighbours, distances_between

_PAIRS = 2**21
"""Distances that are in memory at a time, 16 MB in float64: a choice."""


@dataclass(frozen=True, eq=False)
class DependentRows:
    """Which of n rows belong together: those whose labels differ by less than the width.

    Attributes:
        labels: (n,), int64: numbers of groups, or the places of rows in their order.
        width: 1 for groups, or the window.
    """

    labels: Tensor
    width: int

    def at(self, rows: Tensor) -> DependentRows:
        """The same of these rows, (m,) indices."""
        return DependentRows(self.labels[rows.to(self.labels.device)], self.width)


def dependent_rows(count: int, groups: Any, window: int | None) -> DependentRows | None:
    """What ``groups`` or ``window`` say of so many rows; None where both are None.

    Args:
        count: n.
        groups: a label for each row, (n,), of any kind that can be sorted; rows of the same label belong together.
        window: Theiler window: rows whose places differ by less belong together.

    Raises:
        TypeError, ValueError: both are given, there are other than n labels, less than two or missing ones, or the
            window is no whole number from 1 to n.
    """
    if groups is None and window is None:
        return None
    if groups is not None and window is not None:
        raise TypeError("groups and window cannot both be given; give groups of neighbouring rows")
    if window is not None:
        width = validation.positive_int("window", window)
        if width >= count:
            raise ValueError(f"window must be less than the number of rows, {count}, got {width}")
        return DependentRows(torch.arange(count, device="cpu"), width)
    labels = groups.detach().cpu().numpy() if isinstance(groups, Tensor) else np.asarray(groups)
    if labels.shape != (count,):
        raise ValueError(f"groups must have a label for each of the {count} rows, got shape {labels.shape}")
    if missing := sum(map(_is_missing, labels)):
        raise ValueError(
            f"groups must have a label for each row, got none for {missing} of {count}; give rows whose group is not "
            "known labels of their own, or drop them"
        )
    try:
        different, numbers = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"groups must hold labels of one kind, as numbers or text, got {error}") from error
    if len(different) < 2:
        raise ValueError(
            f"groups must have at least two labels, got {len(different)}, so that all rows belong together"
        )
    return DependentRows(torch.from_numpy(numbers.reshape(count).astype(np.int64)), 1)


def _is_missing(label: object) -> bool:
    """Whether a label is none: None, NaN, NaT, or a library's own, which alone are not equal to themselves."""
    try:
        return label is None or not bool(label == label)
    except TypeError:  # pandas.NA
        return True


def neighbours_apart(x: Tensor, of_x: DependentRows, others: Tensor, of_others: DependentRows, k: int) -> Neighbours:
    """The k points of a set nearest to each point that do not belong together with it and are not equal to it.

    By all pairs; the last distances are infinite where fewer than k are left.

    Args:
        x: points, (n, D).
        of_x: which rows they are.
        others: the set, (m, D), m at least k.
        of_others: which rows these are.
        k: how many.
    """
    distances, indices = x.new_empty(len(x), k, dtype=torch.float64), torch.empty(len(x), k, dtype=torch.int64)
    indices = indices.to(x.device)
    labels, others_labels = of_x.labels.to(x.device), of_others.labels.to(x.device)
    height = max(1, _PAIRS // max(len(others), x.shape[1]))
    for start in range(0, len(x), height):
        rows = slice(start, start + height)
        found = distances_between(x[rows], others)
        together = (labels[rows].unsqueeze(1) - others_labels).abs() < of_x.width
        distances[rows], indices[rows] = found.masked_fill_(together | (found == 0.0), math.inf).topk(k, largest=False)
    return Neighbours(distances, indices)


def standing_for_all(rows: Tensor, dependent: DependentRows, *, name: str) -> Tensor:
    """Ascending indices of distinct rows, (m,), as ``representatives`` has them, at least 50.

    Raises:
        ValueError: there are fewer.
    """
    distinct = first_of_equal(rows)
    kept = distinct[representatives(rows[distinct], dependent.at(distinct))]
    if len(kept) < FEWEST_POINTS:
        raise ValueError(
            f"{name} must have at least {FEWEST_POINTS} rows that are no nearer to one of their group or window than "
            f"to all others, got {len(kept)} of {len(rows)}; give more groups, or a shorter window"
        )
    return kept


def representatives(points: Tensor, dependent: DependentRows) -> Tensor:
    """Rows of which none is nearer to one that it belongs together with than to all others, ascending indices, (m,).

    In the order of the labels each row is kept that is not so near to one that was kept.

    Args:
        points: (n, D).
        dependent: which rows they are.
    """
    apart = neighbours_apart(points, dependent, points, dependent, 1).distances.squeeze(1).cpu().numpy()
    labels, rows = dependent.labels.cpu().numpy(), points.double().cpu().numpy()
    kept: list[int] = []
    first = 0
    for row in np.argsort(labels, kind="stable").tolist():
        while first < len(kept) and labels[row] - labels[kept[first]] >= dependent.width:
            first += 1
        beside = kept[first:]
        if not beside or float(np.linalg.norm(rows[beside] - rows[row], axis=1).min()) >= apart[row]:
            kept.append(row)
    return torch.tensor(sorted(kept), dtype=torch.int64, device=points.device)
