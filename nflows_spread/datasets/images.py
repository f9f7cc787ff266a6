"""Dequantisation of 8-bit images and its inverse, and a data set with new noise each time."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from nflows_spread import validation
from nflows_spread.argument_types import typed

LEVELS = 256


class ImageSet(NamedTuple):
    """Images, (n, channels, height, width), uint8, with their classes, (n,), int64, or None where they have none."""

    images: Tensor
    labels: Tensor | None


@typed
def dequantise(images: Tensor, *, levels: int = LEVELS, generator: torch.Generator | None = None) -> Tensor:
    """x = (image + u) / levels with u uniform in [0, 1) for each entry: continuous values in [0, 1) (appendix C.6).

    ``quantise`` gives the images back exactly. The noise has the standard deviation 1 / (levels √12), which
    for 256 levels is 0.0011.

    Args:
        images: of an integer dtype, any shape, with values from 0 to ``levels`` − 1.
        levels: how many grey levels there are.
        generator: source of u.

    Returns:
        float32, of the same shape and on the same device.

    Raises:
        TypeError: the images are not of an integer dtype.
        ValueError: a value is out of range.
    """
    _check_levels(images, validation.positive_int("levels", levels))
    exact = images.float()
    noisy = exact + torch.empty_like(exact).uniform_(generator=generator)
    return torch.minimum(noisy, torch.nextafter(exact + 1.0, exact)) / levels  # the sum may have been rounded up


@typed
def quantise(x: Tensor, *, levels: int = LEVELS, clip: bool = True) -> Tensor:
    """The images ⌊levels · x⌋ of continuous values, uint8: the inverse of ``dequantise``.

    Args:
        x: of a floating dtype, any shape.
        levels: how many grey levels there are, at most 256.
        clip: bring values outside [0, 1], which samples of a flow have, to the nearest level; False
            refuses them.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite, or a value is out of range and ``clip`` is off.
    """
    if not 1 <= validation.positive_int("levels", levels) <= LEVELS:
        raise ValueError(f"levels must be between 1 and {LEVELS}, got {levels}")
    if not bool(torch.isfinite(validation.floating("x", x)).all()):
        raise ValueError("x must be finite, got NaN or infinity; the flow that made it may have diverged")
    if not clip and x.numel():
        low, high = (float(bound) for bound in torch.aminmax(x))
        if low < 0.0 or high > 1.0:
            raise ValueError(
                f"x must have values from 0 to 1, got {low:.3g} to {high:.3g}; clip=True brings them there"
            )
    return (x * levels).floor().clamp(0, levels - 1).to(torch.uint8)


class DequantisedImages(Dataset[Any]):
    """Images with new dequantisation noise each time that one is taken, for ``fit`` or a ``DataLoader``.

    Args:
        images: as for ``dequantise``, with the images along the first dimension.
        context: conditioning inputs, one row for each image, or None.
        generator: source of the noise; by default torch's own, which ``fit`` keeps in its checkpoints.

    Raises:
        ValueError: there is no image, a value is out of range, or the context has another number of rows.
    """

    @typed
    def __init__(
        self, images: Tensor, *, context: Tensor | None = None, generator: torch.Generator | None = None
    ) -> None:
        if len(images) == 0:
            raise ValueError("images must hold at least one image, got none")
        if context is not None and len(context) != len(images):
            raise ValueError(f"context must have one row for each of the {len(images)} images, got {len(context)}")
        _check_levels(images, LEVELS)
        self.images, self.context, self.generator = images, context, generator

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor | tuple[Tensor, Tensor]:
        x = dequantise(self.images[index], generator=self.generator)
        return x if self.context is None else (x, self.context[index])


def _check_levels(images: Tensor, levels: int) -> None:
    validation.tensor("images", images)
    if images.is_floating_point() or images.is_complex() or images.dtype == torch.bool:
        raise TypeError(f"images must be of an integer dtype, got {images.dtype}; bring them back by quantise")
    if images.numel():
        low, high = (int(bound) for bound in torch.aminmax(images))
        if low < 0 or high >= levels:
            raise ValueError(f"images must have values from 0 to {levels - 1}, got {low} to {high}")


def as_bytes(pixels: np.ndarray[Any, Any], name: str) -> Tensor:
    """An array of pixels as a uint8 tensor.

    Raises:
        ValueError: there are values that are no byte; ``name`` is what the error calls the file.
    """
    if pixels.dtype != np.uint8:
        whole = np.issubdtype(pixels.dtype, np.integer)
        if not whole or (pixels.size and not 0 <= pixels.min() <= pixels.max() < LEVELS):
            found = f"{pixels.min()} to {pixels.max()}" if whole else f"{pixels.dtype}"
            raise ValueError(f"{name} must hold whole pixel values from 0 to {LEVELS - 1}, got {found}")
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.uint8))
