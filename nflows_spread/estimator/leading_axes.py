"""Leading principal axes of wide data: those that stand above its noise, and some more, which a flow is enough for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from nflows_spread.linalg.eigen import principal_axes
from nflows_spread.linalg.optimal_threshold import components_above_noise

WIDE = 512
"""Features beyond which data is wide: a choice, where the paper's A would be left for a cheaper factor as well."""

_ROWS = 2000
"""Rows, at most, that tell the axes: a choice, for time; their decomposition grows as its cube."""

_LEFT, _MOST_LEFT = 1e-5, 0.1
"""Shares of the variance: what may be left where there is no noise, about the square of the smallest σ_x, and what may
be left as noise, so that data that fills hundreds of directions is not taken for it: choices."""

_FEWEST, _MORE = 64, 32
"""Axes, at the least, and those beyond what stands above the noise, so that a flow sees the noise: choices."""

_FEWER = 4
"""Features over axes, at the least: a choice; half of them hold most of white noise, if rows are few."""


@dataclass(frozen=True)
class LeadingAxes:
    """A subspace of wide data, in which all of it lies but noise.

    Attributes:
        axes: principal axes in columns, (D, d), float64.
        deviation: root mean square of what is within them, a column, by which it is of unit scale.
        beyond: variance of what is beyond them, along each of D − d directions.
    """

    axes: Tensor
    deviation: float
    beyond: float

    @classmethod
    def of(cls, x: Tensor, *, fewest: int = 0) -> LeadingAxes | None:
        """Those of rows (n, D) about 0, or None where D is at most 512 or no quarter of them is enough.

        As many are taken as singular values stand above white noise of any level, but as leave a tenth of the variance
        if these are more, or a hundred thousandth if they are fewer, and 32 beside: at least 64.

        Args:
            x: the rows.
            fewest: axes at the least.
        """
        features = x.shape[1]
        if features <= WIDE:
            return None
        some = x[:: max(1, -(-len(x) // _ROWS))].double()
        axes, deviations = principal_axes(some, min(some.shape))
        left = 1.0 - deviations.square().cumsum(0) / deviations.square().sum()
        least, most = (1 + int((left > share).sum()) for share in (_MOST_LEFT, _LEFT))
        needed = min(most, max(least, components_above_noise(deviations, *some.shape)))
        count = min(max(_FEWEST, fewest, needed + _MORE), len(deviations))
        if count < fewest or _FEWER * count > features:
            return None
        kept = axes[:, :count].contiguous()
        within = (x.double() @ kept).square().sum(1)
        beyond = (x.double().square().sum(1) - within).clamp_min(0.0)
        deviation = float((within.mean() / count).sqrt())
        return cls(kept, deviation, float(beyond.mean()) / (features - count))

    def coordinates(self, x: Tensor) -> Tensor:
        """Of rows (n, D), (n, d), of unit scale as a whole."""
        return (x @ self.axes.to(x)) / self.deviation

    def points(self, coordinates: Tensor) -> Tensor:
        """Of coordinates (n, d), (n, D)."""
        return (coordinates * self.deviation) @ self.axes.to(coordinates).mT

    def log_prob(self, of_coordinates: Tensor, x: Tensor, *, noise: float) -> Tensor:
        """Log-density of rows (n, D) from that of their coordinates, (n,): what is beyond the axes is white noise.

        Args:
            of_coordinates: (n,).
            x: the rows.
            noise: the standard deviation of what blurs the coordinates, and the rows along each other direction too.
        """
        x = x.double()
        features, count = self.axes.shape
        squares = (x.square().sum(1) - (x @ self.axes).square().sum(1)).clamp_min(0.0)
        variance = self.beyond + (noise * self.deviation) ** 2
        beyond = -0.5 * (squares / variance + (features - count) * math.log(2.0 * math.pi * variance))
        return of_coordinates + beyond - count * math.log(self.deviation)

    def relative_errors(self, errors: Tensor) -> Tensor:
        """Root mean squared errors over the root of the total variance of rows, from those of their coordinates."""
        features, count = self.axes.shape
        within, beyond = count * self.deviation**2, (features - count) * self.beyond
        return ((errors.square() * within + beyond) / (within + beyond)).sqrt()
