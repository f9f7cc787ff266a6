"""Activation normalisation that preserves volume."""

from __future__ import annotations

import torch
from nflows.transforms import ActNorm
from torch import Tensor


class VolumePreservingActNorm(ActNorm):
    """Actnorm y = exp(s̃) ⊙ x + b with a centred log-scale, s̃ = s − mean(s) (appendix C.6).

    nflows' ``ActNorm`` sets itself from the first batch it meets in training mode. This one changes
    only when ``initialize`` is called; until then it is the identity.
    ``nflows_spread.initialization.initialize`` does so for every such layer of a flow.

    Args:
        features: number of features, or of channels for images.

    Shapes:
        inputs (n, features) or (n, channels, height, width); outputs the same; log-determinants,
        exact zeros, (n,).
    """

    def __init__(self, features: int) -> None:
        super().__init__(features)
        self.initialized.fill_(True)  # nothing is left for the first batch to do

    @property
    def scale(self) -> Tensor:
        """exp(s̃), shape (features,)."""
        return torch.exp(self.log_scale - self.log_scale.mean())

    @torch.no_grad()
    def initialize(self, inputs: Tensor) -> None:
        """Set scale and shift from data: equal variances in all channels, as far as constant volume allows, and mean 0.

        Args:
            inputs: the data as it arrives at this layer, at least two rows; a channel that is
                constant keeps the scale of the others' mean.
        """
        rows = inputs.flatten(2).transpose(1, 2).flatten(0, 1) if inputs.dim() == 4 else inputs
        if rows.dim() != 2 or len(rows) < 2 or rows.shape[1] != len(self.log_scale):
            raise ValueError(
                f"inputs must have at least two rows and {len(self.log_scale)} channels, got {tuple(inputs.shape)}"
            )
        log_std = rows.std(0).log()
        varying = log_std.isfinite()
        fallback = log_std[varying].mean() if bool(varying.any()) else log_std.new_zeros(())
        self.log_scale.copy_(-torch.where(varying, log_std, fallback))
        self.shift.copy_(-self.scale * rows.mean(0))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scale, shift = self._broadcastable(inputs)
        return torch.addcmul(shift, inputs, scale), inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        scale, shift = self._broadcastable(inputs)
        return (inputs - shift) / scale, inputs.new_zeros(len(inputs))

    def _broadcastable(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        if inputs.dim() not in (2, 4) or inputs.shape[1] != len(self.log_scale):
            raise ValueError(
                f"inputs must have shape (n, {len(self.log_scale)}) or (n, {len(self.log_scale)}, height, width), "
                f"got {tuple(inputs.shape)}"
            )
        shape = (-1, *[1] * (inputs.dim() - 2))
        return self.scale.view(shape), self.shift.view(shape)
