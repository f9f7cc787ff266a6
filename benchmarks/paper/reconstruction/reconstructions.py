"""What is left of images at each rank K: reconstructions from K latent directions, chosen in four ways."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nflows_spread.chart import LatentMaps
from nflows_spread.chart.directions import BY_EIGENVALUE, BY_ENERGY, PRINCIPAL
from paper.results import Result

PAPERS_RANKS = (512 / 3072, 2000 / 3072, 2500 / 3072, 3000 / 3072)
"""K over D at which the paper shows samples."""
SHARES = tuple(sorted((1 / 48, 1 / 12, 1 / 3, *PAPERS_RANKS)))
"""K over D for reconstructions; the paper's are among them."""
_FEW = 1 / 3
"""K over D up to which directions are fitted; above it those of principal energy leave next to no error."""

FITTED = "fitted"

ORDERS = {BY_EIGENVALUE: "", BY_ENERGY: "_by_energy", PRINCIPAL: "_principal", FITTED: "_fitted"}
"""How directions are chosen, each with the ending of its numbers' names."""

_POINTS = 200


def maps(result: Result, rank: int, order: str) -> LatentMaps:
    """Latents to their K coordinates and back."""
    return result.fitted_maps(rank) if order == FITTED else result.directions.maps(rank, order)


@torch.no_grad()
def reconstructions(result: Result, x: Tensor, rank: int, order: str) -> Tensor:
    """f at the projections of the latents on K directions, of the shape of x."""
    return maps(result, rank, order).reconstruct(result.trained.flow, x)


def ranks_of(features: int, shares: Sequence[float] = SHARES) -> list[int]:
    """K for each of the shares."""
    return [max(1, round(share * features)) for share in shares]


def reconstructed_ranks(result: Result, order: str) -> list[int]:
    """K of the reconstructions of one flow: those of D that are no more than its latents, and few for a fit."""
    features, latents = result.data.held_out.x[0].numel(), result.latents.shape[1]
    if order != FITTED:
        return [rank for rank in ranks_of(features) if rank <= latents]
    few = ranks_of(features, [share for share in SHARES if share <= _FEW])
    return [rank for rank in few if rank < latents]


def reconstruction_errors(result: Result) -> dict[str, object]:
    """Mean squared error of held-out reconstructions at each K.

    ``mse_K``, ``mse_K_by_energy``, ``mse_K_principal`` and, up to a third of D, ``mse_K_fitted``.
    """
    x = result.data.held_out.x[:_POINTS]
    found: dict[str, object] = {}
    for rank in reconstructed_ranks(result, BY_EIGENVALUE):
        for order, ending in ORDERS.items():
            if rank in reconstructed_ranks(result, order):
                back = reconstructions(result, x, rank, order)
                found[f"mse_{rank}{ending}"] = float((back - x).square().mean())
    return found
