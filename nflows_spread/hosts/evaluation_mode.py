"""Evaluation mode for a while: modules are asked as they are after training, and go on training as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, all parts of a module are in evaluation mode; afterwards each is in its own.

    A part that is kept in evaluation mode while the rest trains, such as a frozen batch norm, stays so.
    """
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
