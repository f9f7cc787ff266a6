"""The exponential moving average of the parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nflows_spread.argument_types import typed


class MovingAverage:
    """θ̄ ← decay · θ̄ + (1 − decay) · θ, after every step. Buffers are not averaged.

    Args:
        module: what is averaged; the average starts at its parameters.
        decay: in [0, 1); 0.999 remembers about a thousand steps.

    Raises:
        ValueError: ``decay`` is not in [0, 1).
    """

    @typed
    def __init__(self, module: nn.Module, decay: float) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"the decay of the moving average must be at least 0 and below 1, got {decay}")
        self.decay = decay
        self._parameters = dict(module.named_parameters())
        self._averages = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._move = get_ema_multi_avg_fn(decay)

    def update(self) -> None:
        """Take in the parameters as they are now."""
        parameters = [parameter.detach() for parameter in self._parameters.values()]
        self._move(list(self._averages.values()), parameters, 0)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Inside, the module has the averaged parameters."""
        own = [parameter.detach().clone() for parameter in self._parameters.values()]
        self._write(list(self._averages.values()))
        try:
            yield
        finally:
            self._write(own)

    def copy_to(self, module: nn.Module) -> None:
        """Give the averaged parameters to a module of the same architecture, the trained one itself if wished."""
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(self._averages[name])

    @torch.no_grad()
    def _write(self, values: list[Tensor]) -> None:
        for parameter, value in zip(self._parameters.values(), values):
            parameter.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The averages by the names of the parameters."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``."""
        for name, average in self._averages.items():
            average.copy_(state[name])
