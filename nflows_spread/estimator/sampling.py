"""Samples of the clean data: from a chart, with what it leaves out, and from the flow's density, which needs none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from nflows_spread.chart import Chart
from nflows_spread.chart.pieces import Pieces
from nflows_spread.chart.ranges import Ranges
from nflows_spread.chart.support import Support
from nflows_spread.dimension import posterior_mean
from nflows_spread.estimator.residuals import FOR_SPREAD, Residuals
from nflows_spread.linalg.gaussian_mixture import sample_of_pieces

_NOTHING = 0.02
"""Share of a column's variance, up to which what the chart leaves of it is not drawn: a choice, which makes deviations
smaller by a hundredth. On random manifolds of four dimensions such draws took samples off the manifold by a fifth more.
"""


@dataclass(frozen=True)
class ChartSampler:
    """Points of the chart at draws of its coordinates, and what the chart leaves out of the data beyond its noise.

    Where the chart reconstructs the data to within the noise, or leaves at most a fiftieth of the variance of each
    column, nothing is drawn beside it, and samples are on the manifold as the chart knows it. No value is below or
    above those of its column by more than a twentieth of their range.

    Attributes:
        chart: with its coordinates' density in pieces, in units of the flow, float64.
        coordinates: the ranges of its coordinates.
        columns: the ranges of the columns.
        residuals: what the chart leaves out; None for nothing.
        support: that of the rows' coordinates; None where there are not two.
    """

    source: ClassVar[str] = "chart"

    chart: Chart
    coordinates: Ranges
    columns: Ranges
    residuals: Residuals | None
    support: Support | None = None

    @classmethod
    @torch.no_grad()
    def of(
        cls, chart: Chart, train: Tensor, held_out: Tensor, *, noise: float, generator: torch.Generator
    ) -> ChartSampler:
        """That of a chart with pieces and of rows.

        Args:
            chart: the chart.
            train: rows of data, in units of the flow, (n, D).
            held_out: others, (m, D), with which samples are compared.
            noise: standard deviation of the noise in each column.
            generator: source of all randomness.
        """
        train, held_out = train.double(), held_out.double()
        x = torch.cat([held_out, train])
        codes = chart.coordinates(x)
        reconstructed = chart.points(codes)
        on_chart = cls(chart, Ranges.of(codes), Ranges.of(x), None, Support.of(codes, generator))
        if bool(((x - reconstructed).square().mean(0) <= noise**2 + _NOTHING * x.var(0)).all()):
            return on_chart
        residuals = Residuals.beside(
            train,
            held_out,
            chart.points(on_chart.draws(FOR_SPREAD, generator)),
            reconstructed=reconstructed,
            columns=on_chart.columns,
            noise=noise,
            generator=generator,
        )
        return replace(on_chart, residuals=residuals)

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), float64, in units of the flow."""
        points = self.chart.points(self.draws(count, generator))
        if self.residuals is not None:
            points = points + self.residuals.sample(points, generator=generator)
        return self.columns.cut(points)

    def draws(self, count: int, generator: torch.Generator) -> Tensor:
        """Coordinates within their ranges, (count, K)."""
        pieces = cast(Pieces, self.chart.pieces)
        chosen = torch.multinomial(pieces.weights, count, replacement=True, generator=generator)

        def drawn(of_pieces: Tensor) -> Tensor:
            return sample_of_pieces(of_pieces, pieces.means, pieces.covariances, generator=generator)

        # again of the same pieces: those at the ends of the range would lose their weight to the others
        return self.coordinates.within(drawn(chosen), lambda beyond: drawn(chosen[beyond]), support=self.support)


@dataclass(frozen=True)
class FlowSampler:
    """Draws of the flow's density, each moved by x + σ² ∇log p(x), the best guess of the point without noise.

    No chart is needed, so that closed surfaces have samples too.

    Attributes:
        chart: all D coordinates of the flow, in its units.
        noise: σ, standard deviation of all noise in each column, of training and of the data.
        columns: the ranges of the columns, where they are known.
    """

    source: ClassVar[str] = "flow"

    chart: Chart
    noise: float
    columns: Ranges | None = None

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), in units of the flow."""
        flow, features = self.chart.flow, self.chart.rank
        coordinates = torch.randn(count, features, dtype=torch.float32, generator=generator)
        with torch.no_grad():
            noisy = self.chart.points(coordinates * self.chart.noisy_variances.sqrt().float())
        clean = posterior_mean(flow, noisy, noise=self.noise, at_once=count)
        return clean if self.columns is None else self.columns.cut(clean)
