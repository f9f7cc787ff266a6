"""Actnorm that takes its first values from data when it is told to, and its volume-preserving form."""

from __future__ import annotations

import torch
from nflows.transforms import ActNorm
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed

_ROUNDINGS = 64.0
"""A channel is constant if it varies by no more than so many roundings, of its own values or, where float32 has
mixed channels, of the channel that varies most."""


class ExplicitActNorm(ActNorm):
    """Actnorm y = exp(s) ⊙ x + b that changes only when ``initialize`` is called; until then it is the identity.

    nflows' ``ActNorm`` sets itself from the first batch it meets in training mode.
    ``nflows_spread.initialization.initialize`` calls ``initialize`` for every such layer of a flow. The
    values are ordinary parameters: a state dict, a copy or another process has them too.

    Args:
        features: number of features, or of channels for images.

    Shapes:
        inputs (n, features) or (n, channels, height, width); outputs the same; log-determinants (n,).
    """

    @typed
    def __init__(self, features: int) -> None:
        super().__init__(validation.positive_int("features", features))
        self.initialized.fill_(True)  # nothing is left for the first batch to do

    @property
    def scale(self) -> Tensor:
        """The factor of each channel, shape (features,)."""
        return torch.exp(self.log_scale)

    def logabsdet(self) -> Tensor:
        """log|det| of the map of one pixel, a scalar."""
        return self.log_scale.sum()

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Set scale and shift from data: mean 0 and, as far as the scale is free, variance 1 in each channel.

        Args:
            inputs: the data as it arrives at this layer, at least two rows. A channel that is constant keeps the
                scale of the others' mean, one that is constant up to rounding is not made any larger beside them.
        """
        rows = inputs.flatten(2).transpose(1, 2).flatten(0, 1) if inputs.dim() == 4 else inputs
        if rows.dim() != 2 or len(rows) < 2 or rows.shape[1] != len(self.log_scale):
            raise ValueError(
                f"inputs must have at least two rows and {len(self.log_scale)} channels, got {tuple(inputs.shape)}"
            )
        mean, log_std = mean_and_log_std(rows, [0])
        self.log_scale.copy_(-log_std[0])
        self.shift.copy_(-self.scale * mean[0])

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scale, shift = self._broadcastable(inputs)
        return torch.addcmul(shift, inputs, scale), self._logabsdet_of(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scale, shift = self._broadcastable(inputs)
        return (inputs - shift) / scale, -self._logabsdet_of(inputs)

    def _logabsdet_of(self, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(len(inputs)) + inputs.shape[2:].numel() * self.logabsdet()

    def _broadcastable(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        if inputs.dim() not in (2, 4) or inputs.shape[1] != len(self.log_scale):
            raise ValueError(
                f"inputs must have shape (n, {len(self.log_scale)}) or (n, {len(self.log_scale)}, height, width), "
                f"got {tuple(inputs.shape)}"
            )
        shape = (-1, *[1] * (inputs.dim() - 2))
        return self.scale.view(shape), self.shift.view(shape)


class VolumePreservingActNorm(ExplicitActNorm):
    """Actnorm with a centred log-scale, y = exp(s̃) ⊙ x + b, s̃ = s − mean(s) (appendix C.6).

    ``initialize`` gives all channels the mean 0 and one variance, their geometric mean, which constant
    volume leaves as it is. Log-determinants are exact zeros. Arguments and shapes are those of
    ``ExplicitActNorm``.
    """

    @property
    def scale(self) -> Tensor:
        """exp(s̃), shape (features,)."""
        return torch.exp(self.log_scale - self.log_scale.mean())

    def logabsdet(self) -> Tensor:
        return self.log_scale.new_zeros(())


def mean_and_log_std(inputs: Tensor, dims: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and log standard deviation of each channel over ``dims``, which stay as dimensions of size 1.

    A channel without any deviation has the mean of the others' logarithms, or 0 where none varies. One that is
    constant up to rounding has the largest of the others' deviations or its own magnitude, whichever is larger: so
    its rounding stays what it is beside the others, and further layers see that it is constant too.
    """
    mean, std = inputs.mean(dims, keepdim=True), inputs.std(dims, keepdim=True)
    magnitude = inputs.abs().amax(dims, keepdim=True)
    largest = torch.where(varies(std, magnitude), std, 0.0).max()
    kept = varies(std, magnitude, among=largest)
    log_std = std.log()
    if not bool(kept.any()):
        return mean, torch.where(std > 0.0, magnitude, 1.0).log()
    log_std = torch.where(kept, log_std, torch.maximum(magnitude, largest).log())
    return mean, torch.where(std > 0.0, log_std, log_std[kept].mean())


def varies(std: Tensor, magnitude: Tensor, *, among: Tensor | float = 0.0) -> Tensor:
    """Whether a standard deviation is more than rounding, of values of this magnitude, ``among`` others as large."""
    roundings = _ROUNDINGS * torch.finfo(std.dtype).eps
    mixed = _ROUNDINGS * max(torch.finfo(std.dtype).eps, torch.finfo(torch.float32).eps)
    return (std > roundings * magnitude) & (std > mixed * among)
