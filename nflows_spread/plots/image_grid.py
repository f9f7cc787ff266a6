"""Grid of images in a plot, as rows of arrays or tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.plots.axes import axes_for

_GREY = 0.5
"""Between the images, from black 0 to white 1: a choice."""


def images(x: Any, *, shape: Sequence[int] | None = None, columns: int = 8, ax: Any = None) -> Any:
    """A grid of images, row by row.

    Args:
        x: tensor or array (n, height, width), black 0 and white 1, or (n, 3, height, width) for colours; or rows
            (n, D) with a ``shape``.
        shape: of one image, (height, width), (1, height, width) or (3, height, width); by default as ``x`` has it.
        columns: images in a row.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: these are no images, or not of this shape.
    """
    colours = as_images(x, shape)
    axes = axes_for(ax, plane=True)
    channels, height, width = colours.shape[1:]
    rows = -(-len(colours) // validation.positive_int("columns", columns))
    grid = torch.full((channels, rows * (height + 1) + 1, columns * (width + 1) + 1), _GREY)
    for i, image in enumerate(colours):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        grid[:, top : top + height, left : left + width] = image.clamp(0.0, 1.0)
    axes.imshow(grid.movedim(0, -1).squeeze(-1).numpy(), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_axis_off()
    return axes


def labelled_images(rows: Sequence[tuple[str, Any]], *, shape: Sequence[int], columns: int, ax: Any) -> Any:
    """Rows of images, with what each row is at its left.

    Args:
        rows: of each the label, and as many images as there are columns, (columns, D).
        shape: of one image.
        columns: images in a row.
        ax: where to draw, or None.
    """
    pictures = [(label, as_images(some[:columns], shape)) for label, some in rows]
    axes = images(torch.cat([some for _, some in pictures]), columns=columns, ax=ax)
    place = 0
    for label, some in pictures:
        height = some.shape[2] + 1
        lines = -(-len(some) // columns)
        axes.text(-1.0, (place + 0.5 * lines) * height, label, ha="right", va="center", fontsize=8)
        place += lines
    return axes


def as_images(x: Any, shape: Sequence[int] | None) -> Tensor:
    """Images as a tensor (n, 1 or 3, height, width)."""
    found = torch.as_tensor(x).detach().cpu().float()
    if shape is not None:
        sizes = validation.shape("shape", tuple(shape))
        if len(found) == 0 or found[0].numel() != sizes.numel():
            raise ValueError(
                f"shape must be of {found[0].numel() if len(found) else 0} entries a row, got {tuple(sizes)}"
            )
        found = found.reshape(-1, *sizes)
    found = found.unsqueeze(1) if found.dim() == 3 else found
    if found.dim() != 4 or found.shape[1] not in (1, 3) or len(found) == 0:
        raise ValueError(
            f"images must be (n, height, width) or (n, 3, height, width), got shape {tuple(found.shape)}; "
            "shape=(height, width) makes images of rows"
        )
    return found
