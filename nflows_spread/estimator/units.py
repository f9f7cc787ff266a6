"""Units: columns standardized, one scale for all or one a column, undone on the way out; those that noise hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.chart.ranges import Ranges
from nflows_spread.dimension.column_scales import RESOLUTION
from nflows_spread.estimator.leading_axes import WIDE, LeadingAxes

_THIN = 3.0
"""The standard deviation of a column over σ_x, a ratio, up to which it is hidden by noise: a choice; three is what
statistics calls far."""


@dataclass(frozen=True)
class Units:
    """What takes data to the units of a flow and back.

    Attributes:
        center: mean of each column, (D,), float64.
        scale: one for all columns, the root of their mean variance, a scalar; or standard deviations, (D,), in which
            that of a column that does not vary is 1, as scikit-learn's ``StandardScaler`` has it. Float64.
        deviation: standard deviation of each column, (D,), float64.
        constant: which columns do not vary, (D,).
        leading: principal axes of the scaled columns that a flow of wide data is of; None for all columns.
        ranges: of the columns, where a flow is of such axes and knows none of them; else None.
    """

    center: Tensor
    scale: Tensor
    deviation: Tensor
    constant: Tensor
    leading: LeadingAxes | None = None
    ranges: Ranges | None = None

    @classmethod
    def of(cls, x: Tensor, *, standardize: bool) -> Units:
        """Those of rows (n, D).

        Raises:
            ValueError: the rows do not vary to the precision of their dtype, or their variance is no finite number.
        """
        center = x.double().mean(0)
        squares = (x.double() - center).square()
        scale, deviation = squares.mean().sqrt(), squares.mean(0).sqrt()
        if not bool(deviation.isfinite().all()):
            raise ValueError(
                f"X must have a variance that float64 can hold, got values of up to {float(x.abs().max()):.3g}; "
                "divide it by a constant"
            )
        resolution = RESOLUTION * torch.finfo(x.dtype).eps
        largest = x.abs().amax(0).double()
        constant = deviation <= resolution * largest
        if bool(constant.all()) if standardize else not float(scale) > resolution * float(largest.max()):
            raise ValueError(
                f"X must vary, got {len(x)} rows that are the same to the precision of {x.dtype}: a standard deviation "
                f"of {float(scale):.3g} in values of up to {float(largest.max()):.3g}; drop a constant array, or "
                "subtract a large offset"
            )
        if standardize:
            scale = torch.where(constant, 1.0, deviation)
        return cls(center, scale, deviation, constant)

    def along_leading_axes(self, x: Tensor, *, fewest: int = 0) -> Units:
        """These, and of wide data (n, D) the principal axes that stand above its noise, at least so many."""
        if x.shape[1] <= WIDE:  # before a copy of all rows is made
            return self
        leading = LeadingAxes.of(self._scaled(x), fewest=fewest)
        return self if leading is None else replace(self, leading=leading, ranges=Ranges.of(x))

    @property
    def length(self) -> float:
        """What a length in the flow's units is in those of the data: the one scale, or 1 where each column has its own.

        A direction across columns of different units has no other unit than their standard deviations.
        """
        scale = float(self.scale) if self.scale.dim() == 0 else 1.0
        return scale if self.leading is None else scale * self.leading.deviation

    @property
    def scales(self) -> float | Tensor:
        """The one scale, or those of the columns, (D,), after which the principal axes of wide data are taken."""
        if self.scale.dim() == 0:
            return self.length
        return self.scale * self.length

    def to_flow(self, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Rows of data (n, D) as the flow knows them, in a dtype, (n, D), or (n, d) where it is of principal axes."""
        scaled = self._scaled(x)
        return (scaled if self.leading is None else self.leading.coordinates(scaled)).to(dtype)

    def to_data(self, unit: Tensor) -> Tensor:
        """Rows of a flow's output in units of the data, (n, D), float64.

        Where each column has a scale, one that does not vary has its value: 1 is no width of it.
        """
        unit = unit.double()
        x = (unit if self.leading is None else self.leading.points(unit)) * self.scale + self.center
        return x if self.scale.dim() == 0 else torch.where(self.constant, self.center, x)

    def samples_in_data(self, unit: Tensor) -> Tensor:
        """Samples of a flow's rows in units of the data, (n, D), float64, cut to the ranges of columns of wide data."""
        x = self.to_data(unit)
        return x if self.ranges is None else self.ranges.cut(x)

    def log_prob_in_data(self, log_prob: Tensor, x: Tensor, *, data_noise: float) -> Tensor:
        """The log-density of rows of data, in units of it, from that of what the flow knows of them.

        Args:
            log_prob: in the flow's units, (n,).
            x: the rows, (n, D).
            data_noise: σ_x in the flow's units, which blurs the density in all directions.
        """
        volume = len(self.center) * self.scale.log() if self.scale.dim() == 0 else self.scale.log().sum()
        if self.leading is None:
            return log_prob - volume
        return self.leading.log_prob(log_prob, self._scaled(x), noise=data_noise) - volume

    def relative_errors(self, errors: Tensor) -> Tensor:
        """Root mean squared errors over the root of the total variance, from those over that of what the flow knows."""
        return errors if self.leading is None else self.leading.relative_errors(errors)

    def _scaled(self, x: Tensor) -> Tensor:
        return (x.double() - self.center) / self.scale

    def warn_of_thin_columns(self, data_noise: float, names: Sequence[object] | None) -> None:
        """Warn where the one scale leaves columns that vary no more than a few times the noise.

        Args:
            data_noise: σ_x in the flow's units.
            names: of the columns; by default their numbers.
        """
        if self.scale.dim() > 0:
            return
        limit = _THIN * data_noise * self.length
        # what noise along principal axes is in each column
        share = 1.0 if self.leading is None else self.leading.axes.norm(dim=1)
        thin = ((self.deviation <= limit * share) & ~self.constant).nonzero().flatten().tolist()
        if not thin:
            return
        named = [
            f"{column if names is None else names[column]!r} ({float(self.deviation[column]):.2g})" for column in thin
        ]
        validation.warn(
            f"columns of X must vary by more than {limit:.3g}, three times the noise that training adds to each, to "
            f"count, got {len(thin)} of {len(self.center)} whose standard deviation is no larger: "
            f"{validation.listed(named, most=validation.FEW)}; where columns are in different units, "
            "give each its own scale by standardize=True, and where all are in one, as pixels are, leave it as it is",
            validation.ThinColumnsWarning,
        )
