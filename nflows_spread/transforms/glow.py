"""Glow's step of flow and its multiscale frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import cast

import torch
from nflows.transforms import MultiscaleCompositeTransform, Transform
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.autocast import full_precision
from nflows_spread.transforms.actnorm import ExplicitActNorm
from nflows_spread.transforms.linear import LUOneByOneConvolution, check_channels, map_pixels
from nflows_spread.transforms.rounding import with_logabsdet


class GlowStep(Transform):
    """Actnorm, 1×1 convolution and coupling, in this order (Kingma and Dhariwal, 2018; appendix C.6).

    The same map as nflows' ``CompositeTransform`` of the three. Actnorm and convolution are both affine at
    each pixel and are applied as one convolution, W (s ⊙ x + b) + c = (W diag s) x + (W b + c), so a
    step passes over its images once before the coupling. The step preserves volume if its parts do.

    Args:
        actnorm: of the channels of the images.
        convolution: of as many channels.
        coupling: a coupling of as many channels.
        checkpointing: keep only the inputs of the step for the backward pass and compute the rest
            again there: less memory, about a third more time.

    Shapes:
        inputs and outputs (n, channels, height, width); log-determinants (n,).

    Raises:
        ValueError: the parts differ in their numbers of channels.
    """

    def __init__(
        self,
        actnorm: ExplicitActNorm,
        convolution: LUOneByOneConvolution,
        coupling: Transform,
        *,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        channels = [len(actnorm.log_scale), convolution.features, cast(int, coupling.features)]
        if len(set(channels)) != 1:
            raise ValueError(f"actnorm, convolution and coupling must have as many channels, got {channels}")
        self.actnorm, self.convolution, self.coupling = actnorm, convolution, coupling
        self.checkpointing = checkpointing

    def initialize(self, inputs: Tensor) -> None:
        """Set the actnorm from data as it arrives at this step."""
        self.actnorm.initialize(inputs)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(self._encode, inputs, context)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(self._decode, inputs, context)

    def _run(
        self, direction: Callable[..., tuple[Tensor, Tensor]], inputs: Tensor, context: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        check_channels(inputs, self.convolution.features)
        if not (self.checkpointing and torch.is_grad_enabled()) or inputs.is_meta:  # torch 2.4 cannot checkpoint there
            return direction(inputs, context)
        # nothing in a step is random
        return checkpoint(direction, inputs, context, use_reentrant=False, preserve_rng_state=False)

    def _encode(self, inputs: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        with full_precision(inputs):
            kernel, bias = self._kernel_and_bias()
            hidden = map_pixels(inputs, kernel, bias)
        outputs, logabsdet = self.coupling(hidden, context)
        return outputs, logabsdet + inputs.shape[2:].numel() * self._affine_logabsdet()

    def _decode(self, inputs: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden, logabsdet = self.coupling.inverse(inputs, context)
        with full_precision(inputs):
            # in float64, and of the kernel as it was rounded: the rounding of each of 80 inverses would add up
            kernel, bias = (part.double() for part in self._kernel_and_bias())
            inverse = torch.linalg.inv(kernel)
            outputs = map_pixels(hidden.double(), inverse, -inverse @ bias).to(inputs.dtype)
        return outputs, logabsdet - inputs.shape[2:].numel() * self._affine_logabsdet()

    def _kernel_and_bias(self) -> tuple[Tensor, Tensor]:
        """W diag s, (channels, channels), and W b + c, (channels,)."""
        kernel = self.convolution.kernel()
        bias = torch.addmv(self.convolution.bias, kernel, self.actnorm.shift)
        kernel = kernel * self.actnorm.scale
        # in training the next step changes it anyway
        return (kernel if self.training else with_logabsdet(kernel, self._affine_logabsdet())), bias

    def _affine_logabsdet(self) -> Tensor:
        """Of the map of one pixel, a scalar."""
        return self.actnorm.logabsdet() + self.convolution.logabsdet()


class MultiscaleImageTransform(MultiscaleCompositeTransform):
    """nflows' multiscale composite for images of one shape, which says what does not fit.

    After each transform but the last, half of the channels goes to the latent as it is.

    Args:
        image_shape: (channels, height, width) of an image.
        num_transforms: how many ``add_transform`` will add.

    Shapes:
        inputs (n, channels, height, width), outputs (n, D); log-determinants (n,).
    """

    @typed
    def __init__(self, image_shape: Sequence[int], num_transforms: int) -> None:
        super().__init__(validation.positive_int("num_transforms", num_transforms))
        self.image_shape = tuple(validation.shape("image_shape", image_shape))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if tuple(inputs.shape[1:]) != self.image_shape:
            expected = ", ".join(map(str, self.image_shape))
            raise ValueError(f"images must have shape (n, {expected}), got {tuple(inputs.shape)}")
        if len(inputs) == 0:  # nflows' reshape leaves the size of no rows to torch, which cannot tell it
            return inputs.flatten(1), inputs.new_zeros(0)
        outputs: tuple[Tensor, Tensor] = super().forward(inputs, context)
        return outputs

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = prod(self.image_shape)
        if inputs.dim() != 2 or inputs.shape[1] != features:
            raise ValueError(f"latents must have shape (n, {features}), got {tuple(inputs.shape)}")
        outputs: tuple[Tensor, Tensor] = super().inverse(inputs, context)
        return outputs
