"""Conformal layers, maps that scale all directions alike, J Jᵀ = λ² I, and what drops dimensions.

Those that keep the dimension are ordinary nflows transforms from data to latent, with log|det J| = n log λ. They are
conformal almost everywhere and piecewise linear, the pieces being those of the conditional layer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.transforms import Transform
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import orthogonal

from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of
from nflows_spread.transforms import ExplicitActNorm


class OrthogonalConvolution(Transform):
    """A k×k convolution of stride k whose kernel is an orthogonal matrix: patches of pixels become channels, and turn.

    Args:
        channels: c of the images.
        size: k, which divides their height and width; 1 turns the channels of each pixel.

    Shapes:
        inputs (n, c, height, width), outputs (n, c k², height / k, width / k); log-determinants, exact zeros, (n,).
    """

    def __init__(self, channels: int, size: int = 1) -> None:
        super().__init__()
        self.size = size
        self.turn = _orthogonal(channels * size**2)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return _turned(F.pixel_unshuffle(inputs, self.size), self.turn.weight), _zeros(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(_turned(inputs, self.turn.weight.mT), self.size), _zeros(inputs)

    @property
    def is_initialized(self) -> bool:
        """Whether it turns anything."""
        return not torch.equal(self.turn.weight, torch.eye(len(self.turn.weight)).to(self.turn.weight))

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Turn patches of these images into their principal coordinates, largest variance first."""
        patches = F.pixel_unshuffle(inputs, self.size).movedim(1, -1).flatten(0, 2)
        vectors = eigh_descending(covariance_of(patches))[1]
        self.turn.weight = vectors.mT.to(inputs.dtype)


class ConditionalOrthogonal(Transform):
    """At each pixel one orthogonal matrix if the norm of its channels is below 1, and another one if it is not.

    Both keep the norm, so that the outputs say which one it was. The map is linear in each of the two cases.

    Args:
        channels: of the images.

    Shapes:
        inputs and outputs (n, channels, height, width); log-determinants, exact zeros, (n,).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = _orthogonal(channels), _orthogonal(channels)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._turned(inputs, self.inner.weight, self.outer.weight), _zeros(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._turned(inputs, self.inner.weight.mT, self.outer.weight.mT), _zeros(inputs)

    def _turned(self, images: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
        is_inner = images.square().sum(1, keepdim=True) < 1.0
        return torch.where(is_inner, _turned(images, inner), _turned(images, outer))


class ConformalActNorm(ExplicitActNorm):
    """Actnorm y = a x + b with one scale a for all channels.

    ``initialize`` gives all channels the mean 0 and the norm of a pixel the median 1, so that a
    ``ConditionalOrthogonal`` that follows has two cases. Arguments and shapes are those of ``ExplicitActNorm``.
    """

    @property
    def scale(self) -> Tensor:
        """a for each channel, shape (features,)."""
        return torch.exp(self.log_scale.mean()).expand_as(self.log_scale)

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Set scale and shift from images."""
        mean = inputs.mean((0, 2, 3))
        norms = (inputs - mean.view(-1, 1, 1)).norm(dim=1)
        self.log_scale.fill_(-float(norms.median().clamp_min(torch.finfo(norms.dtype).tiny).log()))
        self.shift.copy_(-self.scale * mean)


class LeadingChannels(Transform):
    """Keeps the first channels of images; the inverse pads them with zeros. It is the left inverse of an isometry.

    Args:
        channels: of the images.
        kept: how many to keep.

    Shapes:
        inputs (n, channels, height, width), outputs (n, kept, height, width); log-determinants, exact zeros, (n,).
    """

    def __init__(self, channels: int, kept: int) -> None:
        super().__init__()
        self.dropped, self.kept = channels - kept, kept

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return inputs[:, : self.kept], _zeros(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pad(inputs, (0, 0, 0, 0, 0, self.dropped)), _zeros(inputs)


class ConformalEmbedding(Transform):
    """The left inverse g† of a conformal embedding g of K in D dimensions; ``inverse`` is g.

    The Jacobian of g has J_gᵀ J_g = λ² I, so that a density on the K dimensions becomes one on the manifold by
    log p(g(u)) = log p(u) − K log λ. ``forward`` returns −K log λ in the place of a log-determinant.

    Args:
        layers: conformal ones, from data to latent.

    Shapes:
        inputs (n, ...) of D entries, outputs (n, ...) of K; the second output (n,).
    """

    def __init__(self, layers: Sequence[Transform]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, log_factor = inputs, _zeros(inputs)
        for layer in self.layers:
            dimensions = outputs[0].numel()
            outputs, logabsdet = layer(outputs)
            log_factor = log_factor + logabsdet / dimensions
        return outputs, outputs[0].numel() * log_factor

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        outputs, log_factor = inputs, _zeros(inputs)
        for layer in reversed(self.layers):
            outputs, logabsdet = layer.inverse(outputs)
            log_factor = log_factor + logabsdet / outputs[0].numel()
        return outputs, inputs[0].numel() * log_factor


def _orthogonal(features: int) -> nn.Linear:
    """A linear map whose weight stays orthogonal whatever an optimizer does to it; the identity at first."""
    layer = nn.Linear(features, features, bias=False)
    orthogonal(layer, orthogonal_map="cayley")
    layer.weight = torch.eye(features)
    return layer


def _turned(images: Tensor, matrix: Tensor) -> Tensor:
    """The matrix applied to the channels of each pixel."""
    return torch.einsum("ij,njhw->nihw", matrix, images)


def _zeros(inputs: Tensor) -> Tensor:
    return inputs.new_zeros(len(inputs))
