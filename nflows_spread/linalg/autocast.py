"""Mixed precision switched off for the flow's own arithmetic: a map that rounds to 8 bits has no inverse."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def under_autocast(inputs: Tensor) -> bool:
    """Whether ``torch.autocast`` is on for the device of the inputs; not every device has it."""
    place = inputs.device.type
    return torch.amp.is_autocast_available(place) and torch.is_autocast_enabled(place)


def full_precision(inputs: Tensor) -> AbstractContextManager[object]:
    """A context without ``torch.autocast``, in which inputs and parameters keep their dtype."""
    return torch.autocast(inputs.device.type, enabled=False) if under_autocast(inputs) else nullcontext()
