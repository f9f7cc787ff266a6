"""Samples of the clean data from an atlas: a piece by its weight, and a point of its chart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nflows_spread.chart.ranges import Ranges
from nflows_spread.estimator.local_atlas import LocalAtlas, LocalCoordinates
from nflows_spread.estimator.residuals import FOR_SPREAD, Residuals


@dataclass(frozen=True)
class AtlasSampler:
    """Points of an atlas' charts at draws of their coordinates, and what these leave out of the data beyond noise.

    Attributes:
        atlas: in units of the flow.
        noise: standard deviation of the noise in each column of the data, of which the draws are free.
        columns: the ranges of the columns.
        residuals: what the atlas leaves out; None for nothing.
    """

    source: ClassVar[str] = "atlas"

    atlas: LocalAtlas
    noise: float
    columns: Ranges
    residuals: Residuals | None

    @classmethod
    @torch.no_grad()
    def of(cls, atlas: LocalAtlas, x: Tensor, *, noise: float, generator: torch.Generator) -> AtlasSampler:
        """That of an atlas and of rows.

        Args:
            atlas: the atlas.
            x: rows of data, in units of the flow, (n, D).
            noise: standard deviation of the noise in each of their columns.
            generator: source of the draws by which the spread of the columns is set.
        """
        x = x.double()
        on_atlas = cls(atlas, noise, Ranges.of(x), None)
        draws, coordinates = on_atlas._draws(FOR_SPREAD, generator), atlas.coordinates(x)
        residuals = Residuals.beside(
            x,
            atlas.points(coordinates),
            on_atlas._membership(coordinates.piece),
            drawn=on_atlas.columns.cut(atlas.points(draws)),
            drawn_responsibilities=on_atlas._membership(draws.piece),
            noise=noise,
            generator=generator,
        )
        return replace(on_atlas, residuals=residuals)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), float64, in units of the flow."""
        draws = self._draws(count, generator)
        points = self.atlas.points(draws)
        if self.residuals is not None:
            points = points + self.residuals.sample(self._membership(draws.piece), generator=generator)
        return self.columns.cut(points)

    def _membership(self, piece: Tensor) -> Tensor:
        """1 for the piece of each row and 0 for all others, (n, M), float64."""
        return F.one_hot(piece, len(self.atlas.charts)).double()

    def _draws(self, count: int, generator: torch.Generator) -> LocalCoordinates:
        """Pieces by their weights, and normal coordinates in each, within the ranges of its rows."""
        piece = torch.multinomial(self.atlas.pieces.weights, count, replacement=True, generator=generator)
        values = torch.full((count, max(self.atlas.ranks)), math.nan, dtype=torch.float64)
        for number in piece.unique().tolist():
            chart, rows = self.atlas.charts[number], piece == number
            widths = (1.0 - (self.noise / chart.deviations).square()).clamp_min(0.0).sqrt()

            def drawn(size: int, widths: Tensor = widths) -> Tensor:
                return widths * torch.empty(size, len(widths), dtype=widths.dtype).normal_(generator=generator)

            draws = drawn(int(rows.sum()))
            values[rows, : chart.rank] = chart.ranges.within(draws, lambda beyond, drawn=drawn: drawn(len(beyond)))
        return LocalCoordinates(piece, values)
