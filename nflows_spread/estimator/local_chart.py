"""Local charts: coordinates along principal axes of a piece of the data, and the quadratic surface near its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.chart.ranges import Ranges
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.ridge import AffineMap, ridge_regressions

PENALTIES = (1e-6, 1e-4, 1e-2, 1.0, math.inf)
"""Of the weights of products, beside mean squares of these of about 1; infinity leaves a plane: a choice."""

_MOST_PRODUCTS = 100
"""Products of coordinates, K (K + 1) / 2, up to which a surface is quadratic: a choice, for time; the few hundred rows
of a piece say nothing of more."""

_BEYOND = 0.5
"""Share of the range of a piece's coordinates by which its surface goes on beyond them. From trials on spheres, a
torus, circles and a curve with far rows, where a twentieth left fresh rows up to a hundred times as far, and no end at
all those of heavy tails ten times as far."""


@dataclass(frozen=True)
class LocalChart:
    """K coordinates of a piece, c = Λ^(−½) Eᵀ (x − m), and the surface [c, c cᵀ] W + b near its rows.

    The weights of the products are the second fundamental form of the manifold, in these coordinates.

    Attributes:
        center: m, (D,).
        axes: E, (D, K), principal axes of the piece.
        deviations: Λ^½, (K,), standard deviations along them.
        ranges: of the coordinates of its rows.
        ends: of the surface, farther out: other rows than these are in the piece too.
        surface: W and b.
    """

    center: Tensor
    axes: Tensor
    deviations: Tensor
    ranges: Ranges
    ends: Ranges
    surface: AffineMap

    @property
    def rank(self) -> int:
        """K."""
        return len(self.deviations)

    def coordinates(self, x: Tensor) -> Tensor:
        """Of rows (n, D), shape (n, K), of variance 1 in the piece."""
        return (x - self.center) @ self.axes / self.deviations

    def points(self, coordinates: Tensor) -> Tensor:
        """On the surface, shape (n, D), at coordinates (n, K), or at its end where these are beyond it."""
        within = self.ends.cut(coordinates)
        return self.surface(torch.cat([within, _products(within)], dim=1))


def local_charts(x: Tensor, center: Tensor, covariance: Tensor, rank: int) -> list[LocalChart]:
    """The chart of a piece, one for each of ``PENALTIES``.

    Args:
        x: the rows of the piece, (n, D), float64.
        center: its mean, (D,).
        covariance: its covariance, (D, D), positive definite.
        rank: K.
    """
    values, vectors = eigh_descending(covariance)
    axes, deviations = vectors[:, :rank], values[:rank].sqrt()
    coordinates = (x - center) @ axes / deviations
    maps = ridge_regressions(coordinates, _products(coordinates), x, PENALTIES)
    ranges, ends = Ranges.of(coordinates), Ranges.of(coordinates, beyond=_BEYOND)
    return [LocalChart(center, axes, deviations, ranges, ends, surface) for surface in maps]


def _products(coordinates: Tensor) -> Tensor:
    """c_i c_j with i ≤ j, (n, K (K + 1) / 2), or none where they are many."""
    rank = coordinates.shape[1]
    if rank * (rank + 1) // 2 > _MOST_PRODUCTS:
        return coordinates[:, :0]
    first, second = torch.triu_indices(rank, rank, device=coordinates.device)
    return coordinates[:, first] * coordinates[:, second]
