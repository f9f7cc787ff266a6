"""Order and rotation of coordinates by the share of the data's variance that each explains (correlation ratio)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ROWS = 1000
"""Rows that are used, the first ones, at most: a choice, for time."""

_PER_BIN, _BINS = 20, 40
"""Rows in a bin, at the least, and bins, at most: choices; a bin explains as much as one row of it by chance."""

_ANGLES = 24
"""Angles that are tried in a plane: a choice, over half a turn first, then over 15 degrees, 0.6 apart."""


def explained_by(coordinates: Tensor, x: Tensor) -> Tensor:
    """The correlation ratio η² of each coordinate by itself, (K,): the variance of E[x | coordinate] over that of x.

    E[x | coordinate] is the mean over bins of equally many rows.

    Args:
        coordinates: (n, K).
        x: rows of data about 0, (n, D).

    Reference: K. Pearson, On the general theory of skew correlation and non-linear regression, 1905.
    """
    coordinates, x = coordinates[:_ROWS], x[:_ROWS]
    bins = min(_BINS, max(2, len(x) // _PER_BIN))
    size = len(x) // bins
    order = coordinates.argsort(dim=0)[: bins * size].mT  # (K, rows)
    means = x[order].unflatten(1, (bins, size)).mean(2)
    return means.square().sum(2).mean(1) / x.square().sum(1).mean()


def ordered_axes(coordinates: Tensor, x: Tensor) -> Tensor:
    """The permutation of coordinates, (K, K), that puts those first that explain more of the data by themselves."""
    order = explained_by(coordinates, x).argsort(descending=True, stable=True)
    return torch.eye(coordinates.shape[1], dtype=coordinates.dtype)[:, order]


def turned_axes(coordinates: Tensor, x: Tensor) -> Tensor:
    """A rotation of coordinates, (K, K), whose first axis explains as much of the data as one can, and so on.

    Plane rotations, as Jacobi's: each axis is turned in the plane with each later one to the best of 24 angles, and in
    a second sweep to the best of 24 that are near.
    """
    coordinates, x = coordinates[:_ROWS], x[:_ROWS]
    axes = ordered_axes(coordinates, x)
    wide = torch.arange(_ANGLES, dtype=coordinates.dtype) * (math.pi / _ANGLES)
    for angles in (wide, (2.0 / _ANGLES) * (wide - 0.5 * math.pi)):
        for i in range(coordinates.shape[1] - 1):
            for j in range(i + 1, coordinates.shape[1]):
                one, other = (coordinates @ axes[:, [i, j]]).split(1, dim=1)
                best = angles[explained_by(one * angles.cos() + other * angles.sin(), x).argmax()]
                first = axes[:, i] * best.cos() + axes[:, j] * best.sin()
                axes[:, j] = axes[:, j] * best.cos() - axes[:, i] * best.sin()
                axes[:, i] = first
            later = axes[:, i + 1 :]
            axes[:, i + 1 :] = later @ ordered_axes(coordinates @ later, x)
    return axes
