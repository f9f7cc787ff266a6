"""Atlas of the data: the pieces of its density, which overlap, each with a local chart.

A closed surface has no single chart, and separate clusters should not share one. The Gaussians of a density are short
where the data is bent, so that each is nearly flat, and what is left of a curve is quadratic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread.chart.pieces import Pieces
from nflows_spread.dimension import pointwise_dimension
from nflows_spread.estimator.local_chart import PENALTIES, LocalChart, local_charts

_BELONGS = 0.05
"""Probability of a piece given a row from which on the row belongs to it too, so that pieces overlap: a choice."""


class LocalCoordinates(NamedTuple):
    """The number of the piece of each row, (n,), and its coordinates there, (n, K), NaN where a piece has fewer."""

    piece: Tensor
    values: Tensor


@dataclass(frozen=True)
class LocalAtlas:
    """Charts of the pieces of a density; tensors are float64, and points in units of the flow.

    Attributes:
        pieces: the density of the data, a mixture of M Gaussians in all D columns.
        charts: one for each.
        error: root mean squared distance of held-out rows from their reconstructions by surfaces that were fitted to
            the other rows, over the root of the total variance.

    Reference: M. Brand, Charting a manifold, NeurIPS 2002, for charts of the pieces of a mixture.
    """

    pieces: Pieces
    charts: tuple[LocalChart, ...]
    error: float

    @property
    def ranks(self) -> tuple[int, ...]:
        """The number of coordinates of each chart."""
        return tuple(chart.rank for chart in self.charts)

    def piece_of(self, x: Tensor) -> Tensor:
        """The number of the likeliest piece of each row (n, D), shape (n,)."""
        return self.pieces.responsibilities(x).argmax(1)

    def coordinates(self, x: Tensor) -> LocalCoordinates:
        """Of rows (n, D), each in its likeliest piece, where the data has variance 1 along each coordinate."""
        piece = self.piece_of(x)
        values = torch.full((len(x), max(self.ranks)), math.nan, dtype=torch.float64, device=piece.device)
        for number in piece.unique().tolist():
            chart, rows = self.charts[number], piece == number
            values[rows, : chart.rank] = chart.coordinates(x[rows].double())
        return LocalCoordinates(piece, values)

    def points(self, coordinates: LocalCoordinates) -> Tensor:
        """On the surfaces of the pieces, shape (n, D).

        Raises:
            ValueError: there is no such piece, or a coordinate that its chart needs is missing or not finite.
        """
        piece, values = coordinates
        points = values.new_empty(len(piece), self.pieces.rank)
        for number in piece.unique().tolist():
            if not 0 <= number < len(self.charts):
                raise ValueError(f"a piece must be a number from 0 to {len(self.charts) - 1}, got {number}")
            chart, rows = self.charts[number], piece == number
            given = values[rows, : chart.rank]
            if given.shape[1] < chart.rank or not bool(given.isfinite().all()):
                raise ValueError(
                    f"coordinates in piece {number} must be {chart.rank} finite numbers, got {given[0].tolist()} at "
                    "first; take those that coordinates(x) gives"
                )
            points[rows] = chart.points(given)
        return points

    def reconstruct(self, x: Tensor) -> Tensor:
        """The point of the atlas at the coordinates of each row (n, D), shape (n, D)."""
        return self.points(self.coordinates(x))


def local_atlas(pieces: Pieces, ranks: Sequence[int], train: Tensor, held_out: Tensor) -> LocalAtlas:
    """The atlas of the pieces of a density of all rows.

    Args:
        pieces: M of them, of the density.
        ranks: K of each, M numbers.
        train: rows, (n, D).
        held_out: rows by which the penalty of the products is chosen, one for all pieces, (m, D).
    """
    train, held_out = train.double(), held_out.double()
    by_penalty = zip(*_charts(pieces, ranks, train), strict=True)
    found = [LocalAtlas(pieces, charts, math.nan) for charts in by_penalty]
    squares = [float((each.reconstruct(held_out) - held_out).square().sum(1).mean()) for each in found]
    best = min(range(len(PENALTIES)), key=squares.__getitem__)
    every_row = torch.cat([held_out, train])
    charts = tuple(of_piece[best] for of_piece in _charts(pieces, ranks, every_row))
    return LocalAtlas(pieces, charts, (squares[best] / float(every_row.var(0, correction=0).sum())) ** 0.5)


def ranks_by_place(pieces: Pieces, x: Tensor) -> tuple[int, ...]:
    """K of each piece of data whose dimension varies: what distances to neighbours say at most of its rows (n, D)."""
    dimensions, piece = pointwise_dimension(x), pieces.responsibilities(x.double()).argmax(1)
    overall = int(dimensions.mode().values)
    of_pieces = (dimensions[piece == number] for number in range(len(pieces.weights)))
    return tuple(int(here.mode().values) if len(here) > 0 else overall for here in of_pieces)


def _charts(pieces: Pieces, ranks: Sequence[int], x: Tensor) -> list[list[LocalChart]]:
    """For each piece the chart at each penalty, of the rows that belong to it."""
    probabilities = pieces.responsibilities(x)
    belongs = probabilities >= torch.minimum(probabilities.amax(0), probabilities.new_tensor(_BELONGS))
    return [
        local_charts(x[rows], mean, covariance, rank)
        for rows, mean, covariance, rank in zip(belongs.mT, pieces.means, pieces.covariances, ranks, strict=True)
    ]
