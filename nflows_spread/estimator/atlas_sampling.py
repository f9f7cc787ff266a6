"""Samples of the clean data from an atlas: a piece by its weight, and a point of its chart."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

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
    def of(
        cls, atlas: LocalAtlas, train: Tensor, held_out: Tensor, *, noise: float, generator: torch.Generator
    ) -> AtlasSampler:
        """That of an atlas and of rows.

        Args:
            atlas: the atlas.
            train: rows of data, in units of the flow, (n, D).
            held_out: others, (m, D), with which samples are compared.
            noise: standard deviation of the noise in each of their columns.
            generator: source of all randomness.
        """
        train, held_out = train.double(), held_out.double()
        x = torch.cat([held_out, train])
        on_atlas = cls(atlas, noise, Ranges.of(x), None)
        residuals = Residuals.beside(
            train,
            held_out,
            atlas.points(on_atlas.draws(FOR_SPREAD, generator)),
            reconstructed=atlas.points(atlas.coordinates(x)),
            columns=on_atlas.columns,
            noise=noise,
            generator=generator,
        )
        return replace(on_atlas, residuals=residuals)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), float64, in units of the flow."""
        points = self.atlas.points(self.draws(count, generator))
        if self.residuals is not None:
            points = points + self.residuals.sample(points, generator=generator)
        return self.columns.cut(points)

    def draws(self, count: int, generator: torch.Generator) -> LocalCoordinates:
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
