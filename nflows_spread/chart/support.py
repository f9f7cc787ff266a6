"""Support of coordinates: points that are as near to rows of data as rows there are to each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

_NEIGHBOURS, _HELD = 10, 0.99
"""The neighbour by which a row's surroundings are measured, and the share of the rows that hold. From trials on nine
random manifolds: 5 and 10 were even and 1 was behind, and of 0.95 and 0.99 the first took deviations down by 1 % more.
"""

_ROWS = 5000
"""Rows that are kept, at most: a choice, for time."""


@dataclass(frozen=True)
class Support:
    """Balls about rows, wider where rows are sparse: a point is in the support if it is in that of its nearest row.

    A mixture of Gaussians has density beyond the edges of the data and between its parts, where a decoder was never
    trained. The radius of row i is r ρ_i, with ρ_i the distance to its tenth neighbour; r is the 0.99 quantile of the
    distance of a row to the nearest other row over the ρ of that.

    Attributes:
        rows: distinct rows, (n, K), float64.
        radii: (n,).
    """

    rows: Tensor
    radii: Tensor

    @classmethod
    def of(cls, coordinates: Tensor, generator: torch.Generator) -> Support | None:
        """That of coordinates (n, K); None where there are not two distinct rows.

        Args:
            coordinates: of the data.
            generator: source of the choice among very many rows.
        """
        rows = coordinates.double().unique(dim=0)
        if len(rows) < 2:
            return None
        rows = rows[torch.randperm(len(rows), generator=generator)[:_ROWS].to(rows.device)]
        found = nearest_neighbours(rows, rows, min(_NEIGHBOURS + 1, len(rows)))
        surroundings, nearest = found.distances[:, -1], found.indices[:, 1]
        ratio = (found.distances[:, 1] / surroundings[nearest]).quantile(_HELD)
        return cls(rows, ratio * surroundings)

    def hold(self, points: Tensor) -> Tensor:
        """Which points (m, K) are in it, (m,)."""
        found = nearest_neighbours(points.double(), self.rows, 1)
        return found.distances[:, 0] <= self.radii[found.indices[:, 0]]
