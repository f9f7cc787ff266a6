"""Rearrangements of entries: checkerboard squeeze, channel permutation, flattening."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.transforms import Permutation, SqueezeTransform, Transform
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.by_columns import lies_by_columns


class CheckerboardSqueeze(SqueezeTransform):
    """Space to channels in i-RevNet's order: output channel (i · factor + j) · C + c holds pixel phase (i, j).

    nflows' ``SqueezeTransform`` puts the phases of one channel next to each other. Here the channels
    of one phase are, so that a coupling which splits the channels in halves splits the pixels in a
    pattern over the image (section C.1).

    Args:
        factor: by how much height and width shrink.

    Shapes:
        inputs (n, C, H, W), outputs (n, factor² C, H / factor, W / factor); log-determinants (n,).

    Raises:
        ValueError: height or width is not a multiple of the factor, or the channels of an inverse
            not one of its square.

    Reference: J.-H. Jacobsen et al., i-RevNet: Deep Invertible Networks, ICLR 2018.
    """

    @typed
    def __init__(self, factor: int = 2) -> None:
        if factor < 2:
            raise ValueError(f"factor must be at least 2, got {factor}")
        super().__init__(factor)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        f = self.factor
        if inputs.dim() != 4 or inputs.shape[2] % f or inputs.shape[3] % f:
            raise ValueError(
                f"inputs must have shape (n, channels, height, width) with height and width multiples of {f}, "
                f"got {tuple(inputs.shape)}; pad or crop the images"
            )
        n, c, h, w = inputs.shape
        phases = inputs.reshape(n, c, h // f, f, w // f, f).permute(0, 3, 5, 1, 2, 4)
        return phases.reshape(n, f * f * c, h // f, w // f), inputs.new_zeros(n)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        f = self.factor
        if inputs.dim() != 4 or inputs.shape[1] % (f * f):
            raise ValueError(
                f"inputs must have shape (n, channels, height, width) with a multiple of {f * f} channels, "
                f"got {tuple(inputs.shape)}"
            )
        n, c, h, w = inputs.shape
        phases = inputs.reshape(n, f, f, c // (f * f), h, w).permute(0, 3, 4, 1, 5, 2)
        return phases.reshape(n, c // (f * f), h * f, w * f), inputs.new_zeros(n)


class ChannelPermutation(Permutation):
    """A fixed random permutation of features or channels (section C.1).

    Args:
        features: number of features or channels.
        generator: source of the permutation.
    """

    @typed
    def __init__(self, features: int, *, generator: torch.Generator | None = None) -> None:
        order = torch.randperm(validation.positive_int("features", features), generator=generator)
        super().__init__(order, dim=1)

    @staticmethod
    def _permute(inputs: Tensor, permutation: Tensor, dim: int) -> tuple[Tensor, Tensor]:
        """As nflows does it; a batch that lies by columns still does, and its columns are moved whole."""
        if not lies_by_columns(inputs) or inputs.shape[dim] != len(permutation):
            outputs: tuple[Tensor, Tensor] = Permutation._permute(inputs, permutation, dim)
            return outputs
        return inputs.mT.index_select(0, permutation).mT, inputs.new_zeros(len(inputs))


class Flatten(Transform):
    """(n, *shape) to (n, D), D the product of the shape.

    Args:
        shape: shape of one input, which the inverse restores.
    """

    @typed
    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = validation.shape("shape", shape)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if inputs.shape[1:] != self.shape:
            raise ValueError(
                f"inputs must have shape (n, {', '.join(map(str, self.shape))}), got {tuple(inputs.shape)}"
            )
        return inputs.flatten(1), inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if inputs.dim() != 2 or inputs.shape[1] != self.shape.numel():
            raise ValueError(f"inputs must have shape (n, {self.shape.numel()}), got {tuple(inputs.shape)}")
        return inputs.unflatten(1, self.shape), inputs.new_zeros(len(inputs))
