"""A prior in pieces, seen in the coordinates of a chart: each piece is a Gaussian there too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.pieces import Pieces
from nflows_spread.distributions import DegenerateGaussianMixture

_FLAT = 1e-10
"""Variances along a piece's axes, over its largest, below which they are rounding errors: a choice."""


def prior_pieces(base: nn.Module, maps: LatentMaps, *, data_noise: float) -> Pieces | None:
    """Σ_m w_m N((m_m − m) P, Pᵀ A_m A_mᵀ P − σ_x² I) of the clean coordinates; None for a prior of one Gaussian.

    What σ_x² leaves of a variance is at least 1e-10 of the piece's largest, so that flat pieces have a density too.

    Args:
        base: the prior of the flow.
        maps: of the chart.
        data_noise: σ_x, in units of the coordinates.
    """
    if not isinstance(base, DegenerateGaussianMixture) or base.pieces == 1:
        return None
    with torch.no_grad():
        parts = [base.piece(m) for m in range(base.pieces)]
        means = torch.cat([maps.coordinates(part.mean().double().view(1, -1)) for part in parts])
        turned = torch.stack([maps.forth.mT @ part.covariance.double() @ maps.forth for part in parts])
        return Pieces(base.weights.double(), means, _without_noise(turned, data_noise**2))


def _without_noise(covariances: Tensor, variance: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariances)
    least = (_FLAT * values[:, -1:]).clamp_min(torch.finfo(values.dtype).tiny)
    return (vectors * torch.maximum(values - variance, least).unsqueeze(-2)) @ vectors.mT
