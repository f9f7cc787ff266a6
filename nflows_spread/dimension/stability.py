"""Stop rule for the annealing: whether the estimate of the dimension has stayed the same for several checks."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.dimension.ambient_noise import ambient_noise_of
from nflows_spread.dimension.consensus import Estimates, consensus_dimension
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.losses import SpreadKLLoss

_POINTS = 1000
"""Points of which the spectrum is taken, at most: a choice, for time; ``spectrum`` says about a thousand."""

_LOOKING_ROWS, _FEWEST_JACOBIANS = 2**13, 16
"""Jacobians times features of a check, and Jacobians, at the least: a choice, for time."""

_WIDE = 512
"""Features beyond which a check takes no Jacobians: a choice, as these would take longer than the training between."""


class StableVerdict:
    """Looks at a flow from time to time, and says when its verdict has been the same for several looks in a row.

    Where it sees noise in the data it says so and nothing else: the points are cleaned with the flow's density, and
    that gains from every step.

    Args:
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of it.
        looks: how many equal verdicts it takes.

    Attributes:
        verdicts: what was seen; None where a flow had no verdict yet, or where the data has noise.
        thickness: of the last look: the standard deviation of the data's noise, or 0.
    """

    def __init__(self, x: Tensor, neighbours: NeighbourDimension, *, looks: int) -> None:
        self._x, self._neighbours, self._looks = x, neighbours, looks
        # those of wide data would take longer than the training between two looks
        self._jacobians = max(_FEWEST_JACOBIANS, _LOOKING_ROWS // x.shape[1]) if x.shape[1] <= _WIDE else 0
        self.verdicts: list[int | None] = []
        self.thickness = 0.0

    def __call__(self, objective: SpreadKLLoss) -> bool:
        """Look; whether the verdict is stable. The objective, and the randomness of its training, stay as they are."""
        self.verdicts.append(self._verdict_on(objective))
        last = self.verdicts[-self._looks :]
        return len(last) == self._looks and len(set(last)) == 1 and last[0] is not None

    def _verdict_on(self, objective: SpreadKLLoss) -> int | None:
        was_training = objective.training
        objective.eval()
        try:
            found = spectrum(
                objective.flow,
                self._x[:_POINTS],
                data_noise=objective.data_noise,
                jacobians=self._jacobians,
                generator=torch.Generator().manual_seed(len(self.verdicts)),
            )
            thickness = ambient_noise_of(found, self._neighbours)
            verdict = int(consensus_dimension(Estimates(found, self._neighbours))) if thickness == 0.0 else None
        except (ValueError, RuntimeError):  # a flow whose latents are not finite or fill no volume yet has no verdict
            return None
        finally:
            objective.train(was_training)
        self.thickness = thickness
        return verdict
