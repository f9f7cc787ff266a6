"""A flow for images on a manifold: couplings on the leading principal coordinates, which pixels are turned into first.

Pixels are redundant: almost all variance of digits is in a hundred of their 784 principal coordinates, and what is
left is noise to any flow. A rotation preserves volume, so the flow stays one of the paper's kind; couplings of the
leading coordinates alone cost little, and their nets see signals where those of pixels see noise.

On a curved manifold the leading coordinates also determine the trailing ones. So the first couplings halve: half of
the coordinates tell the other half, then a quarter the second quarter, and what was told is noise from there on. A few
leading coordinates are left, which couplings with random permutations straighten.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform
from torch import Tensor

from nflows_spread import DegenerateGaussian, linalg
from nflows_spread.models.coupling import coupling_layers, dense_coupling
from nflows_spread.transforms import ExplicitActNorm, Flatten


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
    core: int = 32,
    layers: int = 8,
    hidden_features: Sequence[int] = (256, 256),
    core_hidden_features: Sequence[int] = (128, 128),
    volume_preserving: bool = True,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """Couplings of the leading principal coordinates of images: halving ones, then mixed ones of the core.

    Args:
        image_shape: (channels, height, width).
        leading: number of coordinates that the couplings see.
        core: number of coordinates that the mixed couplings see; the halving ones go on to a quarter of it.
        layers: number of mixed couplings, with random permutations between them.
        hidden_features: widths of the hidden layers of the halving couplings' nets.
        core_hidden_features: widths of the hidden layers of the mixed couplings' nets.
        volume_preserving: centre the log-scales; False leaves them free, and adds an actnorm, without which a standard
            Gaussian could not hold coordinates that are noise alone.
        base: over the flat latent; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.
    """
    features = torch.Size(image_shape).numel()
    coupling = partial(
        dense_coupling, layer=0, context_features=None, volume_preserving=volume_preserving, bounded_scale=True
    )
    halving: list[Transform] = []
    told = leading // 2
    while told >= max(1, core // 4):
        halving.append(Leading(coupling(2 * told, hidden_features=hidden_features), 2 * told))
        told //= 2
    mixed = coupling_layers(
        core,
        layers=layers,
        hidden_features=core_hidden_features,
        context_features=None,
        permute=True,
        volume_preserving=volume_preserving,
        bounded_scale=True,
        generator=generator,
    )
    transforms: list[Transform] = [
        Flatten(image_shape),
        PrincipalRotation(features),
        *halving,
        Leading(CompositeTransform(mixed), core),
    ]
    if not volume_preserving:
        transforms.append(ExplicitActNorm(features))
    return Flow(CompositeTransform(transforms), DegenerateGaussian([features]) if base is None else base)


@torch.no_grad()
def start_from_principal_coordinates(flow: Flow, x: Tensor) -> None:
    """Give each ``PrincipalRotation`` of a flow its directions from data x (n, ...); most flows have none."""
    for layer in flow.modules():
        if isinstance(layer, PrincipalRotation):
            layer.initialize(x.flatten(1))
