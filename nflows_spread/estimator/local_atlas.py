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

from nflows_spread.chart.pieces import MOST_PIECES, ROWS_PER_PIECE, Pieces
from nflows_spread.estimator.local_chart import PENALTIES, LocalChart, local_charts
from nflows_spread.linalg.paired_comparison import above_by

_BELONGS = 0.05
"""Probability of a piece given a row from which on the row belongs to it too, so that pieces overlap: a choice."""

_CLEARLY = 2.0
"""Standard errors by which the charts of more pieces must reconstruct better to be taken: a choice."""


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

    def assign(self, x: Tensor) -> Tensor:
        """The number of the likeliest piece of each row (n, D), shape (n,)."""
        return self.pieces.responsibilities(x).argmax(1)

    def coordinates(self, x: Tensor) -> LocalCoordinates:
        """Of rows (n, D), each in its likeliest piece, where the data has variance 1 along each coordinate."""
        piece = self.assign(x)
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


def local_atlas(
    pieces: Pieces, dimensions: Tensor, train: Tensor, held_out: Tensor, *, floor: float, generator: torch.Generator
) -> LocalAtlas:
    """The atlas of the pieces of a density, or of twice as many and again, as long as that reconstructs better.

    Better is by two standard errors of the differences row by row, over the held-out rows. The likelihood may be
    content with one piece for a whole sphere, which has no chart.

    Args:
        pieces: of the density of all rows.
        dimensions: K around each row, the held-out ones first, (m + n,); a piece has that of most of its rows.
        train: rows, (n, D).
        held_out: rows by which the penalty of the products is chosen, one for all pieces, and the number, (m, D).
        floor: the standard deviation that a piece has at least along each axis.
        generator: source of the starts of further pieces.
    """
    train, held_out = train.double(), held_out.double()
    every_row = torch.cat([held_out, train])
    best, squares = _of_pieces(pieces, dimensions, train, held_out)
    most = min(MOST_PIECES, len(every_row) // ROWS_PER_PIECE)
    while 2 * len(best.charts) <= most:
        more = Pieces.of_number(every_row, 2 * len(best.charts), floor=floor, generator=generator)
        found, squares_of_found = _of_pieces(more, dimensions, train, held_out)
        if not above_by(_CLEARLY, squares, squares_of_found):
            break
        best, squares = found, squares_of_found
    return best


def _of_pieces(pieces: Pieces, dimensions: Tensor, train: Tensor, held_out: Tensor) -> tuple[LocalAtlas, Tensor]:
    """The atlas of these pieces, and squared distances of held-out rows from their reconstructions, (m,)."""
    every_row = torch.cat([held_out, train])
    ranks = _ranks(pieces.responsibilities(every_row).argmax(1), dimensions, len(pieces.weights))
    found = [LocalAtlas(pieces, charts, math.nan) for charts in zip(*_charts(pieces, ranks, train), strict=True)]
    squares = [(each.reconstruct(held_out) - held_out).square().sum(1) for each in found]
    best = min(range(len(PENALTIES)), key=lambda i: float(squares[i].mean()))
    charts = tuple(of_piece[best] for of_piece in _charts(pieces, ranks, every_row))
    error = float(squares[best].mean() / every_row.var(0, correction=0).sum()) ** 0.5
    return LocalAtlas(pieces, charts, error), squares[best]


def _ranks(piece: Tensor, dimensions: Tensor, count: int) -> list[int]:
    """K of each piece: the dimension at most of its rows, or of all where it has none."""
    overall = int(dimensions.mode().values)
    of_pieces = (dimensions[piece == number] for number in range(count))
    return [int(here.mode().values) if len(here) > 0 else overall for here in of_pieces]


def _charts(pieces: Pieces, ranks: Sequence[int], x: Tensor) -> list[list[LocalChart]]:
    """For each piece the chart at each penalty, of the rows that belong to it."""
    probabilities = pieces.responsibilities(x)
    belongs = probabilities >= torch.minimum(probabilities.amax(0), probabilities.new_tensor(_BELONGS))
    return [
        local_charts(x[rows], mean, covariance, rank)
        for rows, mean, covariance, rank in zip(belongs.mT, pieces.means, pieces.covariances, ranks, strict=True)
    ]
