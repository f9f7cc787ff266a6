"""Linear maps from latents to K coordinates and back, as an autoencoder's bottleneck has them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.inverse import compare, decoded, encoded, few_of
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
        """(z − m) P of latents (n, ...), shape (n, K), in their dtype.

        Raises:
            ValueError: the latents have another number of features.
        """
        if z[0].numel() != len(self.mean):
            raise ValueError(
                f"latents must have the {len(self.mean)} features of the maps, got shape {tuple(z.shape)}; make the "
                "chart of the flow whose latents these are"
            )
        with full_precision(z):
            return ((z.flatten(1).to(self.mean.dtype) - self.mean) @ self.forth).to(z.dtype)

    def latents(self, coordinates: Tensor) -> Tensor:
        """m + c Q at coordinates (n, K), shape (n, D), in their dtype."""
        with full_precision(coordinates):
            return (self.mean + coordinates.to(self.mean.dtype) @ self.back).to(coordinates.dtype)

    def kept(self, z: Tensor) -> Tensor:
        """m + (z − m) P Q of latents (n, ...), of their shape and dtype: what K coordinates keep of them."""
        return self.latents(self.coordinates(z)).view_as(z)

    def reconstruct(self, flow: nn.Module, x: Tensor, context: Tensor | None = None, *, scale: float = 0.0) -> Tensor:
        """f(m + (g(x) − m) P Q): the data with all but K latent coordinates removed.

        Args:
            flow: the flow whose latents these are, of any host.
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.
            scale: of the data in each feature, where more is known of it than these rows say.

        Returns:
            The shape of ``x``, in data units.

        Raises:
            TypeError, ValueError: ``x`` is no finite floating-point data of the flow, or the flow has no inverse on it:
                a few rows are decoded whole beside all that are asked for.
        """
        context = validation.context_of(len(x), context)
        z = encoded(flow, x, context)
        few = few_of(x)
        given = None if context is None else torch.cat([context, context[few.to(context.device)]])
        both = decoded(flow, torch.cat([self.kept(z), z[few].detach()]), given)
        compare(x, both[len(x) :], few, scale=scale)
        return both[: len(x)]

    def first(self, rank: int) -> LatentMaps:
        """Those of the first coordinates alone."""
        return LatentMaps(self.mean, self.forth[:, :rank], self.back[:rank])

    def copied(self, rank: int) -> LatentMaps:
        """Those of the first coordinates alone, in memory of their own."""
        return LatentMaps(self.mean.clone(), self.forth[:, :rank].clone(), self.back[:rank].clone())
