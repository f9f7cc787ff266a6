"""Coordinates of the latent space that do not depend on its gauge: the directions of largest signal-to-noise first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.dimension.latents import Latents
from nflows_spread.hosts import base_of
from nflows_spread.linalg.signal_to_noise import generalised_eigh


@dataclass(frozen=True)
class Chart:
    """An affine map of latents to coordinates of unit variance, in which the response to data noise is diagonal.

    With S the covariance of the noisy latents and N = E[JJᵀ] their response to data noise, S v = μ N v; the coordinates
    are Vᵀ (z − m) with VᵀSV = I. Another linear gauge of the latent space gives the same ones, up to signs.

    Attributes:
        mean: m, (D,).
        directions: V, (D, D), in columns, from the largest μ to the smallest.
        inverse: VᵀS, (D, D): a row of coordinates times it is z − m.
        dtype: that of the flow's latents.
    """

    mean: Tensor
    directions: Tensor
    inverse: Tensor
    dtype: torch.dtype = torch.float32

    def coordinates(self, z: Tensor, rank: int) -> Tensor:
        """The first coordinates of latents (n, D), shape (n, rank)."""
        return (z.flatten(1).to(self.mean.dtype) - self.mean) @ self.directions[:, :rank]

    def latents(self, coordinates: Tensor) -> Tensor:
        """Latents (n, D), in the flow's dtype, at coordinates (n, K); the others are 0."""
        rank = coordinates.shape[1]
        return (self.mean + coordinates.to(self.mean.dtype) @ self.inverse[:rank]).to(self.dtype)


@torch.no_grad()
def chart_of(flow: nn.Module, x: Tensor, *, data_noise: float, generator: torch.Generator | None = None) -> Chart:
    """The chart of a trained flow.

    Args:
        flow: a flow of any host whose base is Gaussian.
        x: data like that it was trained on, shape (n, ...).
        data_noise: σ_x, in data units, above 0.
        generator: source of the noise and of the directions in which the response is measured.
    """
    validation.points("x", x)
    base = base_of(flow)
    latents = Latents(flow, base, x, None, validation.positive("data_noise", data_noise), generator)
    mean, covariance, response = latents.moments_and_response()
    values, vectors = generalised_eigh(covariance, response)
    directions = vectors / values.sqrt()
    return Chart(mean=mean, directions=directions, inverse=directions.mT @ covariance, dtype=x.dtype)
