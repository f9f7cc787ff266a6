"""What a chart leaves out of the data, beyond noise: its residuals' means and scales by piece, and one shape of all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.linalg.eigen import principal_axes

_WIDEST = 2.0
"""Factor by which the residuals of a column are widened, at most, for the spread of the samples: a choice; where the
chart leaves nothing out, much more would be made of little."""

FOR_SPREAD = 5000
"""Samples that set the spread of the columns: a choice; columns of a few large values need many."""


@dataclass(frozen=True)
class Residuals:
    """r = b_m + √s_m A ε in piece m, A of the residuals of all pieces, without the noise σ² I.

    Attributes:
        means: b, (M, D).
        scales: s, (M,), 1 on average.
        axes: principal axes of the residuals about their means, over √s, (D, R).
        variances: along them, (R,).
        noise: σ.
        widths: factor of each column, (D,).
    """

    means: Tensor
    scales: Tensor
    axes: Tensor
    variances: Tensor
    noise: float
    widths: Tensor

    @classmethod
    def of(cls, residuals: Tensor, responsibilities: Tensor, *, noise: float) -> Residuals:
        """Those of rows.

        Args:
            residuals: x minus its reconstruction, (n, D), float64.
            responsibilities: of the pieces for each row, (n, M).
            noise: σ, standard deviation of the noise in each column.
        """
        counts = responsibilities.sum(0).clamp_min(torch.finfo(residuals.dtype).tiny)
        means = (responsibilities.mT @ residuals) / counts.unsqueeze(1)
        centred = residuals - responsibilities @ means
        squares = centred.square().mean(1)
        average = squares.mean().clamp_min(torch.finfo(residuals.dtype).tiny)
        scales = (responsibilities.mT @ squares) / counts / average
        row_scales = (responsibilities @ scales).clamp_min(torch.finfo(residuals.dtype).eps)
        shape = centred / row_scales.sqrt().unsqueeze(1)
        axes, deviations = principal_axes(shape, min(shape.shape))
        return cls(means, scales, axes, deviations.square(), noise, torch.ones_like(means[0]))

    @classmethod
    def beside(
        cls,
        x: Tensor,
        reconstructed: Tensor,
        responsibilities: Tensor,
        *,
        drawn: Tensor,
        drawn_responsibilities: Tensor,
        noise: float,
        generator: torch.Generator,
    ) -> Residuals:
        """Those of rows, each column as wide as brings drawn points to the variance of the data less the noise.

        Args:
            x: the rows, (n, D), float64.
            reconstructed: their reconstructions, (n, D).
            responsibilities: of the pieces for each row, (n, M).
            drawn: points without residuals, (m, D).
            drawn_responsibilities: of the pieces for each of these, (m, M).
            noise: σ, standard deviation of the noise in each column.
            generator: source of the draws by which the widths are found.
        """
        missing = x.var(0) - noise**2 - drawn.var(0)
        residuals = cls.of(x - reconstructed, responsibilities, noise=noise)
        return residuals.with_variances(missing, drawn_responsibilities, generator=generator)

    def with_variances(self, variances: Tensor, responsibilities: Tensor, *, generator: torch.Generator) -> Residuals:
        """The same, each column made as wide or narrow as gives it a variance, at most twice as wide.

        Args:
            variances: of the columns, (D,); what is below 0 is 0.
            responsibilities: of the pieces for points of the chart, (n, M).
            generator: source of the draws by which the widths are found.
        """
        now = self.sample(responsibilities, generator=generator).var(0)
        ratio = variances.clamp_min(0.0) / now.clamp_min(torch.finfo(now.dtype).tiny)
        return replace(self, widths=self.widths * ratio.sqrt().clamp_max(_WIDEST))

    def sample(self, responsibilities: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draws for points by their pieces' probabilities (n, M), shape (n, D), float64."""
        piece = torch.multinomial(responsibilities, 1, generator=generator).flatten()
        clean = (self.scales[piece].unsqueeze(1) * self.variances - self.noise**2).clamp_min(0.0)
        normal = torch.empty_like(clean).normal_(generator=generator)
        return self.widths * (self.means[piece] + (clean.sqrt() * normal) @ self.axes.mT)
