"""What a chart leaves out of the data, beyond noise: at a point, mixtures of what it leaves out of the rows nearby."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.chart.ranges import Ranges
from nflows_spread.linalg.distances import nearest_neighbours
from nflows_spread.linalg.eigen import principal_axes

_NUMBERS = (5, 10, 20, 40)
"""Numbers k of rows that are mixed: a choice. With fewer than five of many columns samples copy the rows; with more
what differs from place to place is blurred."""

_WIDEST = 2.0
"""Factor by which the residuals of a column are widened, at most, for the spread of the samples: a choice; where the
chart leaves nothing out, much more would be made of little."""

_NEAR_ENOUGH = 0.05
"""Share by which the deviation of a column may be off before its residuals are widened or narrowed: a choice. Wider
ones take samples from the data, and draws of coordinates are a little narrower than their rows everywhere."""

COMPARED = 1000
"""Samples whose distances to the rows are compared: a choice, for time."""

FOR_SPREAD = 5000
"""Samples by which the spread of columns is set or compared: a choice; columns of a few large values need many."""

_ROWS, _KEPT = 5000, 2**20
"""Rows, and numbers of them, that are kept, at most: choices, for time, and twice 8 MB."""

_TOGETHER = 2**22
"""Numbers of the rows that are mixed at a time, 32 MB: a choice, for memory."""


@dataclass(frozen=True)
class Residuals:
    """r = r̄ + Σ_j ε_j (r_j − r̄)/√k, of the k rows whose reconstructions are nearest, with ε standard normal.

    Its second moments are those of the k rows: what a chart leaves out differs from place to place and is far from
    normal, as in patches of photographs, most of which are flat and some of which have an edge. A column
    that is off the spread of the data by more than a twentieth is then widened or narrowed, as draws of coordinates are
    not spread as those of the rows.

    Attributes:
        reconstructed: points of the chart at rows of data, (n, D), float64.
        residuals: what these points leave out of the rows, without noise, (n, D).
        number: k.
        widths: factor of each column, (D,).

    Reference: M. S. Taylor, J. R. Thompson, A data based algorithm for the generation of random vectors,
    Computational Statistics & Data Analysis 4, 1986, which mixes points by uniform weights of the same moments.
    """

    reconstructed: Tensor
    residuals: Tensor
    number: int
    widths: Tensor

    @classmethod
    def of(
        cls,
        x: Tensor,
        reconstructed: Tensor,
        *,
        noise: float,
        generator: torch.Generator,
        number: int = _NUMBERS[0],
    ) -> Residuals:
        """Those of rows, each made shorter along its principal axes, by as much as noise made it longer.

        Args:
            x: the rows, (n, D), float64.
            reconstructed: their reconstructions, (n, D).
            noise: σ, standard deviation of the noise in each column.
            generator: source of the choice among very many rows.
            number: k, as many as there are rows at most.
        """
        residuals = x - reconstructed
        axes, deviations = principal_axes(residuals, min(residuals.shape))
        variances = deviations.square()
        clean = ((variances - noise**2).clamp_min(0.0) / variances.clamp_min(torch.finfo(x.dtype).tiny)).sqrt()
        kept = torch.randperm(len(x), generator=generator)[: max(1, min(_ROWS, _KEPT // x.shape[1]))]
        kept_residuals = ((residuals[kept] @ axes) * clean) @ axes.mT
        return cls(reconstructed[kept], kept_residuals, min(number, len(kept)), torch.ones_like(x[0]))

    @classmethod
    def beside(
        cls,
        train: Tensor,
        held_out: Tensor,
        drawn: Tensor,
        *,
        reconstructed: Tensor,
        columns: Ranges,
        noise: float,
        generator: torch.Generator,
    ) -> Residuals:
        """Those of all rows, of the number k, 5, 10, 20 or 40, by which samples are about as near as held-out rows.

        That is in the median distance to the nearest of the rows for training, by ratio.

        Args:
            train: rows, (n, D), float64.
            held_out: others, (m, D).
            drawn: points of the chart at draws of its coordinates, (l, D).
            reconstructed: points of the chart at the held-out rows and then at the others, (m + n, D).
            columns: the ranges by which samples are cut.
            noise: σ, standard deviation of the noise in each column.
            generator: source of all randomness.
        """

        def log_distance(x: Tensor) -> Tensor:
            nearest = nearest_neighbours(x, train, 1).distances
            return nearest.median().clamp_min(torch.finfo(train.dtype).tiny).log()

        near, x = log_distance(held_out), torch.cat([held_out, train])
        of_train = cls.of(train, reconstructed[len(held_out) :], noise=noise, generator=generator)

        def off(number: int) -> float:
            tried = replace(of_train, number=number).spread_as(train, drawn, noise=noise)
            samples = drawn[:COMPARED] + tried.sample(drawn[:COMPARED], generator=generator)
            return float((log_distance(columns.cut(samples)) - near).abs())

        number = min((k for k in _NUMBERS if k <= len(of_train.residuals)), key=off, default=_NUMBERS[0])
        found = cls.of(x, reconstructed, noise=noise, generator=generator, number=number)
        return found.spread_as(x, drawn, noise=noise)

    def spread_as(self, x: Tensor, drawn: Tensor, *, noise: float) -> Residuals:
        """The same, each column as wide as gives samples the deviation of rows (n, D) without noise, to a twentieth.

        Args:
            x: the rows.
            drawn: points of the chart at draws of its coordinates, (l, D).
            noise: σ, standard deviation of the noise in each column.
        """
        means, squares = self.moments(drawn)
        return replace(self, widths=_widths(drawn, means, squares, (x.var(0) - noise**2).clamp_min(0.0)))

    def moments(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """E r and E r² of draws for points of the chart, (n, D) each, before they are widened."""
        parts = [self.residuals[rows] for rows in self._nearest(points)]
        return torch.cat([near.mean(1) for near in parts]), torch.cat([near.square().mean(1) for near in parts])

    def sample(self, points: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draws for points of the chart, (n, D), shape (n, D), float64."""
        weights = torch.empty(len(points), 1, self.number, dtype=self.residuals.dtype).normal_(generator=generator)

        def mixed(near: Tensor, by: Tensor) -> Tensor:
            mean = near.mean(1, keepdim=True)
            return (mean + (by / self.number**0.5) @ (near - mean)).squeeze(1)

        nearest = self._nearest(points)
        parts = zip(nearest, weights.split(len(nearest[0])), strict=True)
        return self.widths * torch.cat([mixed(self.residuals[rows], by) for rows, by in parts])

    def _nearest(self, points: Tensor) -> tuple[Tensor, ...]:
        """Indices, (m, k), of the rows whose reconstructions are nearest to some of the points (n, D) at a time."""
        together = max(1, _TOGETHER // (self.number * points.shape[1]))
        return nearest_neighbours(points, self.reconstructed, self.number).indices.split(together)


def _widths(points: Tensor, means: Tensor, squares: Tensor, variances: Tensor) -> Tensor:
    """w of each column, from 0 to 2, nearest to 1 with Var(p + w r) nearest to v, to a twentieth of its root; (D,).

    Args:
        points: p, (n, D).
        means: E r at each point, (n, D).
        squares: E r² at each point, (n, D).
        variances: v, (D,).
    """
    centred = points - points.mean(0)
    product, square = (centred * means).mean(0), squares.mean(0) - means.mean(0).square()
    alone = centred.square().mean(0)
    low, high = ((1.0 + sign * _NEAR_ENOUGH) ** 2 * variances for sign in (-1.0, 1.0))
    missing = torch.clamp(alone + 2.0 * product + square, low, high) - alone
    root = (product.square() + square * missing).clamp_min(0.0).sqrt()
    return ((root - product) / square.clamp_min(torch.finfo(square.dtype).tiny)).clamp(0.0, _WIDEST)
