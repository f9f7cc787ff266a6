"""Evaluation mode for a while: modules are asked as they are after training, and go on training as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

TRAIN_AGAIN = "train the flow again, with a lower learning rate or with gradient_clip"
"""The remedy for numbers that have run away."""


def remedy_of_infinity(flow: nn.Module) -> str:
    """The remedy for latents that are not finite: evaluation mode where the flow is not in it, or another training.

    Batch norm makes NaN of a row that comes alone.
    """
    evaluate = "call flow.eval() first: in training mode a latent may depend on the rows beside it; else "
    return f"{evaluate if flow.training else ''}{TRAIN_AGAIN}"


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
