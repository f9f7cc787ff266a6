"""Linear maps from latents to K coordinates and back, as an autoencoder's bottleneck has them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.hosts import decode, encode
from nflows_spread.linalg.autocast import full_precision


@dataclass(frozen=True)
class LatentMaps:
    """Linear maps from latents about a mean to K coordinates, and back.

    Attributes:
        mean: m, (D,).
        forth: P, (D, K): coordinates are (z − m) P.
        back: Q, (K, D): latents are m + c Q.
    """

    mean: Tensor
    forth: Tensor
    back: Tensor

    def coordinates(self, z: Tensor) -> Tensor:
        """(z − m) P of latents (n, ...), shape (n, K), in their dtype."""
        with full_precision(z):
            return ((z.flatten(1).to(self.mean.dtype) - self.mean) @ self.forth).to(z.dtype)

    def latents(self, coordinates: Tensor) -> Tensor:
        """m + c Q at coordinates (n, K), shape (n, D), in their dtype."""
        with full_precision(coordinates):
            return (self.mean + coordinates.to(self.mean.dtype) @ self.back).to(coordinates.dtype)

    def reconstruct(self, flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
        """f(m + (g(x) − m) P Q): the data with all but K latent coordinates removed.

        Args:
            flow: the flow whose latents these are, of any host.
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``.

        Returns:
            The shape of ``x``, in data units.
        """
        z = encode(flow, validation.points("x", x), context)
        return decode(flow, self.latents(self.coordinates(z)).view_as(z), context)

    def first(self, rank: int) -> LatentMaps:
        """Those of the first coordinates alone."""
        return LatentMaps(self.mean, self.forth[:, :rank], self.back[:rank])
