"""Arithmetic that ``torch.autocast`` leaves alone: a map that rounds to 8 bits has no inverse, and no density."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(inputs: Tensor) -> AbstractContextManager[object]:
    """The dtype of the inputs and parameters inside, also where ``torch.autocast`` reigns outside."""
    place = inputs.device.type
    return torch.autocast(place, enabled=False) if torch.is_autocast_enabled(place) else nullcontext()
