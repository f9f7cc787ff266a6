"""The stable dimension at which the annealing of the estimator ends: the same in several checks in a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nflows_spread.dimension.ambient_noise import ambient_noise_of
from nflows_spread.dimension.consensus import Estimates, consensus_dimension
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.dimension.tangent_spaces import TangentSpaces
from nflows_spread.dimension.unfilled_spans import ALL_FILLED, UnfilledSpans
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training import StopOnStableDimension

_POINTS = 1000
"""Rows of the data that a check takes the spectrum of, for the sake of time. A choice; not measured."""

_ROWS_OF_JACOBIANS, _FEWEST_JACOBIANS = 2**12, 16
"""Rows that the Jacobians of a check encode, one for each feature, and the fewest Jacobians. A choice; not measured."""

_WIDE = 512
"""Features beyond which a check takes no Jacobians: they would last longer than the training in between. A choice."""


class StableDimension:
    """Whether a flow in training had the same dimension in several checks in a row, by the consensus of its read-outs.

    Where it sees noise in the data it says so and nothing else: the points are cleaned with the flow's density, and
    that gains from every step.

    Args:
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of it.
        tangents: what local principal axes say of it.
        unfilled: dimensions that it surely does not have.
        patience: how many equal dimensions it takes.

    Attributes:
        dimensions: what was found; None where a flow had no dimension yet, or where the data has noise.
        ambient_noise: the standard deviation of the data's noise in the last check, or 0.
    """

    def __init__(
        self,
        x: Tensor,
        neighbours: NeighbourDimension,
        tangents: TangentSpaces | None = None,
        unfilled: UnfilledSpans = ALL_FILLED,
        *,
        patience: int,
    ) -> None:
        self._x, self._neighbours, self._tangents, self._unfilled = x, neighbours, tangents, unfilled
        self._rule = StopOnStableDimension(patience)
        self._jacobians = max(_FEWEST_JACOBIANS, _ROWS_OF_JACOBIANS // x.shape[1]) if x.shape[1] <= _WIDE else 0
        self.dimensions: list[int | None] = []
        self.ambient_noise = 0.0

    def resume(self, dimensions: Sequence[int | None], ambient_noise: float) -> None:
        """Go on after these checks, the last of which found so much noise."""
        for dimension in dimensions:
            self.dimensions.append(dimension)
            self._rule.count(dimension)
        self.ambient_noise = ambient_noise

    def __call__(self, objective: SpreadKLLoss) -> bool:
        """Check; whether it is stable now. The objective, and the randomness of its training, stay as they are."""
        self.dimensions.append(self._dimension_of(objective))
        return self._rule.count(self.dimensions[-1])

    def _dimension_of(self, objective: SpreadKLLoss) -> int | None:
        try:
            with evaluating(objective):
                found = spectrum(
                    objective.flow,
                    self._x[:_POINTS],
                    data_noise=objective.data_noise,
                    jacobians=self._jacobians,
                    generator=torch.Generator().manual_seed(len(self.dimensions)),
                )
            ambient = ambient_noise_of(found, self._neighbours)
            estimates = Estimates(found, self._neighbours, unfilled=self._unfilled, tangents=self._tangents)
            dimension = int(consensus_dimension(estimates)) if ambient == 0.0 else None
        except (ValueError, RuntimeError):  # a flow whose latents are not finite or fill no volume yet has none
            return None
        self.ambient_noise = ambient
        return dimension
