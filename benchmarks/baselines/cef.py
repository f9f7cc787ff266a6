"""CEF: a flow on few dimensions and a conformal embedding of them, trained together (Ross and Cresswell, NeurIPS 2021).

Unlike a spread flow it has to be told the dimension. Written anew from the paper's description.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached

from baselines.conformal import (
    ConditionalOrthogonal,
    ConformalActNorm,
    ConformalEmbedding,
    LeadingChannels,
    OrthogonalConvolution,
)
from nflows_spread.models import volume_preserving_glow

_PATCHES = (4, 2)
RECONSTRUCTION_WEIGHT = 1000.0


class ConformalEmbeddingFlow(Flow):
    """An nflows ``Flow`` from D to K dimensions and back.

    ``log_prob(x)`` is the density on the manifold, with respect to its K-dimensional volume, at the
    projection g(g†(x)). ``sample`` draws from the manifold.

    Args:
        embedding: of the K dimensions.
        transform: of the K dimensions to as many latents.
        base: of the latents.
    """

    def __init__(self, embedding: ConformalEmbedding, transform: Transform, base: Distribution) -> None:
        super().__init__(CompositeTransform([embedding, transform]), base)

    def log_prob_and_projection(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log_prob(x)``, (n,), and g(g†(x)), of the shape of x."""
        embedding, transform = self._transform._transforms
        u, log_volume = embedding(x)
        z, logabsdet = transform(u)
        return self._distribution.log_prob(z) + logabsdet + log_volume, embedding.inverse(u)[0]


class ConformalLoss(nn.Module):
    """−E log p(g(g†(x̃))) + w E‖x̃ − g(g†(x̃))‖², with x̃ = x + σ_x ε, in nats.

    The likelihood alone does not say where the manifold is, the reconstruction alone not what is on it. With
    w = 1 / (2 σ²) the second term is what Gaussian noise of standard deviation σ about the manifold costs.

    Args:
        flow: with the embedding g.
        data_noise: σ_x, in data units; a schedule may change it.
        generator: source of the noise.
        reconstruction_weight: w.
    """

    def __init__(
        self,
        flow: ConformalEmbeddingFlow,
        *,
        data_noise: float = 0.0,
        generator: torch.Generator | None = None,
        reconstruction_weight: float = RECONSTRUCTION_WEIGHT,
    ) -> None:
        super().__init__()
        self.flow = flow
        self.data_noise = data_noise
        self.generator = generator
        self.reconstruction_weight = reconstruction_weight

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The loss on a batch, a scalar."""
        noisy = x + self.data_noise * torch.empty_like(x).normal_(generator=self.generator)
        with cached():  # each orthogonal matrix is used there and back
            log_prob, projection = self.flow.log_prob_and_projection(noisy)
        squares = (noisy - projection).square().flatten(1).sum(1)
        return (self.reconstruction_weight * squares - log_prob).mean()


def conformal_embedding_flow(
    image_shape: Sequence[int],
    *,
    base: Distribution,
    blocks: int = 1,
    layers: int = 8,
    hidden_channels: int = 64,
    volume_preserving: bool = False,
    generator: torch.Generator | None = None,
) -> ConformalEmbeddingFlow:
    """A CEF of images: orthogonal 4×4 and 2×2 convolutions, each with one scale and a conditional turn, and a Glow.

    Args:
        image_shape: (channels, height, width), height and width multiples of 8.
        base: of the K latents; its size decides K, which must be a multiple of height · width / 64.
        blocks: of the Glow on the K dimensions.
        layers: steps of each of its blocks.
        hidden_channels: of its nets.
        volume_preserving: of the Glow on the K dimensions; False is the original.
        generator: source of its permutations.

    Raises:
        ValueError: the image is not of whole patches, or K does not fit it.
    """
    channels, height, width = image_shape
    side = _PATCHES[0] * _PATCHES[1]
    pixels, rank = height * width // side**2, base.sample(1).numel()
    if height % side or width % side:
        raise ValueError(f"height and width must be multiples of {side}, got {height} and {width}")
    if rank % pixels or not 0 < rank <= channels * height * width:
        raise ValueError(
            f"the base must have a multiple of {pixels} latents, up to {channels * height * width}, got {rank}"
        )
    conformal: list[Transform] = []
    for size in _PATCHES:
        conformal.append(OrthogonalConvolution(channels, size))
        channels *= size**2
        conformal += [ConformalActNorm(channels), ConditionalOrthogonal(channels)]
    conformal.append(LeadingChannels(channels, rank // pixels))
    glow = volume_preserving_glow(
        (rank // pixels, height // side, width // side),
        blocks=blocks,
        layers=layers,
        hidden_channels=hidden_channels,
        volume_preserving=volume_preserving,
        generator=generator,
    )
    return ConformalEmbeddingFlow(ConformalEmbedding(conformal), glow, base)


FROM_PATCHES = (OrthogonalConvolution, ConformalActNorm)
"""The layers of a conformal embedding that start from images: patches in their principal coordinates, so that the
manifold starts as the best linear one."""
