"""A flow for images on a manifold: couplings on the leading principal coordinates, which pixels are turned into first.

Pixels are redundant: almost all variance of digits is in a hundred of their 784 principal coordinates, and what is
left is noise to any flow. A rotation preserves volume, so the flow stays one of the paper's kind; couplings of the
leading coordinates alone cost little, and their nets see signals where those of pixels see noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform
from torch import Tensor

from nflows_spread import DegenerateGaussian, linalg
from nflows_spread.models.coupling import dense_coupling
from nflows_spread.transforms import ChannelPermutation, Flatten


class PrincipalRotation(Transform):
    """Points about their mean in their principal coordinates, largest variance first; the identity until initialised.

    Args:
        features: D.

    Shapes:
        inputs and outputs (n, D); log-determinants, exact zeros, (n,).
    """

    mean: Tensor
    directions: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("directions", torch.eye(features))

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Take mean and directions from points (n, D)."""
        self.mean.copy_(inputs.mean(0))
        self.directions.copy_(linalg.eigh_descending(linalg.covariance_of(inputs))[1])

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (inputs - self.mean) @ self.directions, inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return inputs @ self.directions.mT + self.mean, inputs.new_zeros(len(inputs))


class Leading(Transform):
    """A transform of the leading features; the others pass as they are.

    Args:
        transform: of vectors.
        count: number of leading features.
    """

    def __init__(self, transform: Transform, count: int) -> None:
        super().__init__()
        self.transform, self.count = transform, count

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        leading, logabsdet = self.transform(inputs[:, : self.count], context)
        return torch.cat([leading, inputs[:, self.count :]], dim=1), logabsdet

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        leading, logabsdet = self.transform.inverse(inputs[:, : self.count], context)
        return torch.cat([leading, inputs[:, self.count :]], dim=1), logabsdet


def principal_flow(
    image_shape: Sequence[int],
    *,
    leading: int = 128,
    layers: int = 8,
    hidden_features: Sequence[int] = (128, 128),
    volume_preserving: bool = True,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """Couplings, with random permutations between them, of the leading principal coordinates of images.

    Args:
        image_shape: (channels, height, width).
        leading: number of coordinates that the couplings see.
        layers: number of couplings.
        hidden_features: widths of the hidden layers of their nets.
        volume_preserving: centre the log-scales; False leaves them free.
        base: over the flat latent; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.
    """
    features = torch.Size(image_shape).numel()
    couplings: list[Transform] = []
    for layer in range(layers):
        if layer > 0:
            couplings.append(ChannelPermutation(leading, generator=generator))
        couplings.append(
            dense_coupling(
                leading,
                layer,
                hidden_features=hidden_features,
                context_features=None,
                volume_preserving=volume_preserving,
                bounded_scale=True,
            )
        )
    transform = CompositeTransform(
        [Flatten(image_shape), PrincipalRotation(features), Leading(CompositeTransform(couplings), leading)]
    )
    return Flow(transform, DegenerateGaussian([features]) if base is None else base)


@torch.no_grad()
def start_from_principal_coordinates(flow: Flow, x: Tensor) -> None:
    """Give each ``PrincipalRotation`` of a flow its directions from data x (n, ...); most flows have none."""
    for layer in flow.modules():
        if isinstance(layer, PrincipalRotation):
            layer.initialize(x.flatten(1))
