"""Batches that lie by columns (column-major): a feature's values side by side, which suits few rows of few features."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nflows_spread.linalg.autocast import under_autocast
from nflows_spread.linalg.torch_func import under_transforms

Function = Callable[..., tuple[Tensor, ...]]


def lies_by_columns(x: Tensor) -> bool:
    """Whether a batch (n, D) has the values of a feature side by side, and not those of a row."""
    return x.dim() == 2 and x.stride(0) == 1 and x.stride(1) == x.shape[0] > 1


def takes_closed_form(x: Tensor) -> bool:
    """Whether a function with a gradient of its own may take a batch.

    Not under transforms, autocast or a compiler, which follow plain operations.
    """
    return not (torch.compiler.is_compiling() or under_transforms(x) or under_autocast(x))


def plain_gradients(
    function: Function, inputs: Sequence[Tensor], needed: Sequence[bool], by: Sequence[Tensor]
) -> list[Tensor | None]:
    """The gradients of a function's inputs with their history, by plain operations, to be differentiated again.

    Args:
        function: of plain operations.
        inputs: its arguments, which may depend on each other.
        needed: which of them take a gradient.
        by: the gradients of what it returns.
    """
    with torch.enable_grad():
        apart = [value.view_as(value) for value in inputs]  # so that no path leads through another input
        wanted = [value for value, take in zip(apart, needed) if take]
        found = iter(torch.autograd.grad(function(*apart), wanted, by, create_graph=True))
    return [next(found) if take else None for take in needed]
