"""Directions of a flow's latent space that are fitted to what they are for: the least error of reconstructions.

Principal energy is right as far as the decoder is linear. Between an image and what a few of its latents leave of it
no decoder is, so the maps to K coordinates and back go on from there by gradient descent on the error itself.
"""

from __future__ import annotations

from copy import deepcopy
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR

from nflows_spread import decode, encode
from nflows_spread.training import NotFiniteError, fit
from paper.reconstruction.directions import PRINCIPAL, Directions, Maps, directions_of
from paper.results import Outcome

FITTED = "fitted"

_STEPS = 300
_BATCH = 50
_COMPARED = 500
_RATE = 5e-4
_KEPT = 16  # of three flows, which are measured one after the other and drawn together


class LatentBottleneck(nn.Module):
    """Error of the reconstructions of images x (n, ...) from K coordinates of their latents, the mean square.

    The maps are W P and Qᵀ Rᵀ, with W and R to and from coordinates of variance 1; P and Q, (D, K), are learned.

    Args:
        flow: left as it is.
        directions: where P and Q start, at the principal energy.
        rank: K.
    """

    def __init__(self, flow: nn.Module, directions: Directions, rank: int) -> None:
        super().__init__()
        self._directions = directions
        frozen = deepcopy(flow).eval().requires_grad_(False)
        self._encode, self._decode = partial(encode, frozen), partial(decode, frozen)  # no submodule: not trained
        self.p = nn.Parameter(directions.principal[:, :rank].clone())
        self.q = nn.Parameter(directions.principal[:, :rank].clone())

    def forward(self, x: Tensor) -> Tensor:
        whitened = (self._encode(x).flatten(1) - self._directions.mean) @ self._directions.whitening
        kept = whitened @ self.p @ self.q.mT @ self._directions.colouring.mT
        return (self._decode(self._directions.mean + kept) - x).square().mean()

    @torch.no_grad()
    def maps(self) -> Maps:
        """To the K coordinates and back."""
        return self._directions.whitening @ self.p, (self._directions.colouring @ self.q).mT


@lru_cache(maxsize=_KEPT)
@torch.enable_grad()
def fitted_maps(outcome: Outcome, rank: int) -> Maps:
    """To K coordinates and back, fitted on training images; those of principal energy where that made nothing better.

    The steps of Adam are in proportion to the root of the error that there is to start with: their noise, which
    reaches all coordinates, stays below it.
    """
    x, directions = outcome.task.train.x, directions_of(outcome)
    bottleneck = LatentBottleneck(outcome.trained.flow, directions, rank)
    compared, rest = x.tensor_split([min(_COMPARED, len(x) // 2)])
    with torch.no_grad():
        before, whole = float(bottleneck(compared)), float((compared - compared.mean(0)).square().mean())
    start = directions.maps(rank, PRINCIPAL)
    try:
        fit(
            bottleneck,
            rest,
            steps=_STEPS,
            batch_size=min(_BATCH, len(rest)),
            learning_rate=_RATE * min(1.0, (before / whole) ** 0.5),
            learning_rate_schedule=partial(LinearLR, start_factor=1.0, end_factor=0.0, total_iters=_STEPS),
            progress=False,
            generator=outcome.generator(),
            processes=1,
        )
    except NotFiniteError:
        return start
    with torch.no_grad():
        after = float(bottleneck(compared))
    return bottleneck.maps() if after < before else start
