"""What a flow says of its data at any moment of its training, and whether more training would change it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread.dimension.consensus import Readings, consensus
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.dimension.thickness import denoised, thickness_of
from nflows_spread.losses import SpreadKLLoss

_POINTS = 1000
_DENOISED = 2
_LOOKING_ROWS, _FEWEST_JACOBIANS = 2**13, 16


def readings_of(
    flow: nn.Module,
    x: Tensor,
    neighbours: NeighbourDimension,
    *,
    data_noise: float,
    jacobians: int | None = None,
    generator: torch.Generator | None = None,
) -> Readings:
    """What the spectrum and the neighbours say; the neighbours of the denoised points where the data has noise.

    Args:
        flow: a trained flow.
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of ``x``.
        data_noise: σ_x, in the same units.
        jacobians: at how many points to take the flow's Jacobian, as for ``spectrum``.
        generator: source of noise.
    """
    found = spectrum(flow, x[:_POINTS], data_noise=data_noise, jacobians=jacobians, generator=generator)
    thickness = thickness_of(found)
    if thickness > 0.0:
        clean = denoised(flow, x, variance=data_noise**2 + thickness**2, times=_DENOISED)
        neighbours = neighbour_dimension(clean, noisy=True, generator=generator)
    return Readings(found, neighbours, thickness=thickness)


class StableVerdict:
    """Looks at a flow from time to time, and says when its verdict has been the same for several looks in a row.

    Args:
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of it.
        looks: how many equal verdicts it takes.

    Attributes:
        verdicts: what was seen; None where a flow had no verdict yet.
        thickness: of the last look.
    """

    def __init__(self, x: Tensor, neighbours: NeighbourDimension, *, looks: int) -> None:
        self._x, self._neighbours, self._looks = x, neighbours, looks
        self.verdicts: list[int | None] = []
        self.thickness = 0.0

    def __call__(self, objective: SpreadKLLoss) -> bool:
        """Look; whether the verdict is stable. The objective, and the randomness of its training, stay as they are."""
        was_training = objective.training
        objective.eval()
        try:
            readings = readings_of(
                objective.flow,
                self._x,
                self._neighbours,
                data_noise=objective.data_noise,
                jacobians=max(_FEWEST_JACOBIANS, _LOOKING_ROWS // self._x.shape[1]),
                generator=torch.Generator().manual_seed(len(self.verdicts)),
            )
        except (ValueError, RuntimeError):  # a flow whose latents are not finite or fill no volume yet has no verdict
            self.verdicts.append(None)
            return False
        finally:
            objective.train(was_training)
        self.verdicts.append(int(consensus(readings)))
        self.thickness = readings.thickness
        last = self.verdicts[-self._looks :]
        return len(last) == self._looks and len(set(last)) == 1
