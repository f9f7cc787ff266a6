"""Principal coordinates as a transform, and transforms of the leading features alone."""

from __future__ import annotations

import torch
from nflows.transforms import Transform
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.autocast import full_precision
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of


class PrincipalRotation(Transform):
    """Points about their mean in their principal coordinates, largest variance first; the identity until initialised.

    Args:
        features: D.

    Shapes:
        inputs and outputs (n, D); log-determinants, exact zeros, (n,).
    """

    mean: Tensor
    directions: Tensor

    @typed
    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(validation.positive_int("features", features)))
        self.register_buffer("directions", torch.eye(features))

    @property
    def is_initialized(self) -> bool:
        """Whether it is anything but the identity."""
        identity = torch.eye(len(self.mean), dtype=self.mean.dtype, device=self.mean.device)
        return bool(self.mean.any()) or not torch.equal(self.directions, identity)

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Take mean and directions from points (n, D)."""
        self.mean.copy_(inputs.mean(0))
        self.directions.copy_(eigh_descending(covariance_of(inputs))[1])

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(inputs):
            return (inputs - self.mean) @ self.directions, inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(inputs):
            return inputs @ self.directions.mT + self.mean, inputs.new_zeros(len(inputs))


class LeadingFeatures(Transform):
    """A transform of the leading features; the others pass as they are.

    Args:
        transform: of vectors.
        count: number of leading features.

    Raises:
        TypeError, ValueError: ``count`` is no integer, or below 1.
    """

    @typed
    def __init__(self, transform: Transform, count: int) -> None:
        super().__init__()
        if not isinstance(transform, Transform):
            raise TypeError(f"transform must be a Transform of nflows, got {transform!r}")
        self.transform, self.count = transform, validation.positive_int("count", count)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        leading, logabsdet = self.transform(inputs[:, : self.count], context)
        return torch.cat([leading, inputs[:, self.count :]], dim=1), logabsdet

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        leading, logabsdet = self.transform.inverse(inputs[:, : self.count], context)
        return torch.cat([leading, inputs[:, self.count :]], dim=1), logabsdet
