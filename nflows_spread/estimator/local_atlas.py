"""Atlas of the data: the pieces of its density, which overlap, each with a local chart.

A closed surface has no single chart, and separate clusters should not share one. The Gaussians of a density are short
where the data is bent, so that each is nearly flat, and what is left of a curve is quadratic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread import validation
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
        pieces: of the data, a mixture of M Gaussians in all D columns.
        charts: one for each.
        error: root mean squared distance of held-out rows from their reconstructions by pieces and surfaces that were
            fitted to the other rows, over the root of the total variance; no row counts for more than that.

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
        return self.pieces.responsibilities(self._rows(x)).argmax(1)

    def coordinates(self, x: Tensor) -> LocalCoordinates:
        """Of rows (n, D), each in its likeliest piece, where the data has variance 1 along each coordinate.

        Raises:
            TypeError, ValueError: ``x`` is no finite floating-point tensor of D columns.
        """
        x = self._rows(x)
        piece = self.assign(x)
        values = torch.full((len(x), max(self.ranks)), math.nan, dtype=torch.float64, device=piece.device)
        for number in piece.unique().tolist():
            chart, rows = self.charts[number], piece == number
            values[rows, : chart.rank] = chart.coordinates(x[rows])
        return LocalCoordinates(piece, values)

    def points(self, coordinates: LocalCoordinates) -> Tensor:
        """On the surfaces of the pieces, shape (n, D).

        Raises:
            ValueError: there is no such piece, or a coordinate that its chart needs is missing or not finite.
        """
        piece, values = coordinates[0], coordinates[1].double()
        if piece.is_floating_point() or piece.shape != values.shape[:1] or values.shape[1:] != (max(self.ranks),):
            raise ValueError(
                f"coordinates must be whole numbers (n,) and values (n, {max(self.ranks)}), as coordinates(x) gives "
                f"them, got {piece.dtype} {tuple(piece.shape)} and {tuple(values.shape)}"
            )
        points = values.new_empty(len(piece), self.pieces.rank)
        for number in piece.unique().tolist():
            if not 0 <= number < len(self.charts):
                raise ValueError(f"a piece must be a number from 0 to {len(self.charts) - 1}, got {number}")
            chart, rows = self.charts[number], piece == number
            given = values[rows, : chart.rank]
            if not bool(given.isfinite().all()):
                raise ValueError(
                    f"coordinates in piece {number} must be {chart.rank} finite numbers, got {given[0].tolist()} at "
                    "first; take those that coordinates(x) gives"
                )
            points[rows] = chart.points(given)
        return points

    def reconstruct(self, x: Tensor) -> Tensor:
        """The point of the atlas at the coordinates of each row (n, D), shape (n, D)."""
        return self.points(self.coordinates(x))

    def _rows(self, x: Tensor) -> Tensor:
        """The rows in float64, once they are seen to be rows of the data's columns."""
        if validation.points("x", x).shape[1:] != (self.pieces.rank,):
            raise ValueError(f"x must have shape (n, {self.pieces.rank}), got {tuple(x.shape)}")
        return x.double()


def local_atlas(
    like: Pieces, dimensions: Tensor, train: Tensor, held_out: Tensor, *, floor: float, generator: torch.Generator
) -> LocalAtlas:
    """The atlas of as many pieces as those of a density, or of twice as many and again, as long as that helps.

    It helps where held-out rows are reconstructed better by two standard errors of the differences row by row, from
    pieces of the other rows alone. The likelihood may be content with one piece for a whole sphere, which has no chart.

    Args:
        like: the pieces of the density, of whose number and shrinkage the first ones are.
        dimensions: K around each row, the held-out ones first, (m + n,); a piece has that of most of its rows.
        train: rows, (n, D).
        held_out: rows by which the penalty of the products is chosen, one for all pieces, and the number, (m, D).
        floor: the standard deviation that a piece has at least along each axis.
        generator: source of the starts of the pieces.
    """
    train, held_out = train.double(), held_out.double()
    dimensions_of_train = dimensions[len(held_out) :]
    number, shrinkage = len(like.weights), like.pseudo_counts
    pieces = Pieces.of_number(train, number, floor=floor, pseudo_counts=shrinkage, generator=generator)
    penalty, squares = _left_by(pieces, dimensions_of_train, train, held_out)
    every_row = torch.cat([held_out, train])
    most = min(MOST_PIECES, len(every_row) // ROWS_PER_PIECE)
    while 2 * len(pieces.weights) <= most:
        more = Pieces.of_number(train, 2 * len(pieces.weights), floor=floor, generator=generator)
        penalty_of_more, squares_of_more = _left_by(more, dimensions_of_train, train, held_out)
        if not above_by(_CLEARLY, squares, squares_of_more):
            break
        pieces, penalty, squares = more, penalty_of_more, squares_of_more
    pieces = pieces.again(every_row, floor=floor)
    charts = tuple(of_piece[penalty] for of_piece in _charts(pieces, dimensions, every_row))
    error = float(squares.mean() / every_row.var(0, correction=0).sum()) ** 0.5
    return LocalAtlas(pieces, charts, error)


def _left_by(pieces: Pieces, dimensions: Tensor, train: Tensor, held_out: Tensor) -> tuple[int, Tensor]:
    """The place of the best penalty, and what it leaves of held-out rows, (m,): squared distances.

    Each is at most the total variance, so that no row far from all others decides.
    """
    by_penalty = [LocalAtlas(pieces, each, math.nan) for each in zip(*_charts(pieces, dimensions, train), strict=True)]
    total = float(train.var(0, correction=0).sum())
    squares = [(atlas.reconstruct(held_out) - held_out).square().sum(1).clamp_max(total) for atlas in by_penalty]
    best = min(range(len(PENALTIES)), key=lambda i: float(squares[i].mean()))
    return best, squares[best]


def _charts(pieces: Pieces, dimensions: Tensor, x: Tensor) -> list[list[LocalChart]]:
    """For each piece the chart at each penalty, of the rows (n, D) that belong to it."""
    probabilities = pieces.responsibilities(x)
    belongs = probabilities >= torch.minimum(probabilities.amax(0), probabilities.new_tensor(_BELONGS))
    ranks = _ranks(probabilities.argmax(1), dimensions, len(pieces.weights))
    return [
        local_charts(x[rows], mean, covariance, rank)
        for rows, mean, covariance, rank in zip(belongs.mT, pieces.means, pieces.covariances, ranks, strict=True)
    ]


def _ranks(piece: Tensor, dimensions: Tensor, count: int) -> list[int]:
    """K of each piece: the dimension at most of its rows, or of all where it has none."""
    overall = int(dimensions.mode().values)
    of_pieces = (dimensions[piece == number] for number in range(count))
    return [int(here.mode().values) if len(here) > 0 else overall for here in of_pieces]
