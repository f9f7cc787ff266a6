"""Arithmetic that ``torch.autocast`` leaves alone: a map that rounds to 8 bits has no inverse, and no density."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def under_autocast(inputs: Tensor) -> bool:
    """Whether ``torch.autocast`` reigns where the inputs are; not every device has it."""
    place = inputs.device.type
    return torch.amp.is_autocast_available(place) and torch.is_autocast_enabled(place)


def full_precision(inputs: Tensor) -> AbstractContextManager[object]:
    """The dtype of the inputs and parameters inside, also where ``torch.autocast`` reigns outside."""
    return torch.autocast(inputs.device.type, enabled=False) if under_autocast(inputs) else nullcontext()
