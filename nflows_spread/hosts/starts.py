"""Data-dependent initialization of the hosts' layers: which wait for their first batch, and their start on request.

nflows' ``ActNorm`` waits for a batch in training mode, normflows' for any. Both divide by the standard deviation of
a channel even where it is rounding alone; started here they follow the rule of ``ExplicitActNorm``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from nflows_spread.transforms.normalization import mean_and_log_std

_FLAGS = ("initialized", "data_dep_init_done")
"""The buffers in which nflows' and normflows' ``ActNorm`` note that they have set themselves; forks keep the names."""

_DIRECTIONS = ("forward", "inverse")


def layers_waiting_for_a_batch(module: nn.Module) -> dict[str, nn.Module]:
    """The layers, by name, that would set themselves from the first batch they meet."""
    return {name: layer for name, layer in module.named_modules() if _flag_of(layer) is not None}


@contextmanager
def waiting_layers_held(module: nn.Module) -> Iterator[None]:
    """Inside, no ``ActNorm`` that waits for its first batch sets itself."""
    flags = [flag for layer in _actnorms_in(module) if (flag := _flag_of(layer)) is not None]
    for flag in flags:
        flag.fill_(1)
    try:
        yield
    finally:
        for flag in flags:
            flag.fill_(0)


@contextmanager
def waiting_layers_started(module: nn.Module) -> Iterator[set[nn.Module]]:
    """Inside, each ``ActNorm`` that waits sets itself from what first arrives at it, in either direction and mode.

    Yields:
        Those that have done so.
    """
    layers, started = _actnorms_in(module), set[nn.Module]()
    for layer in layers:
        for direction in _DIRECTIONS:
            setattr(layer, direction, _starting(layer, direction, started))
    try:
        yield started
    finally:
        for layer in layers:
            for direction in _DIRECTIONS:
                delattr(layer, direction)
        for layer in started:  # a host that has held it during the pass has put its flag back
            _raise_flag(layer)


def _actnorms_in(module: nn.Module) -> list[nn.Module]:
    return [
        layer
        for layer in layers_waiting_for_a_batch(module).values()
        if (hasattr(layer, "log_scale") and hasattr(layer, "shift")) or hasattr(layer, "data_dep_init_done")
    ]


def _flag_of(layer: nn.Module) -> Tensor | None:
    """The layer's flag, unless it is raised."""
    for name in _FLAGS:
        flag = getattr(layer, name, None)
        if isinstance(flag, Tensor) and flag.numel() == 1 and not bool(flag):
            return flag
    return None


def _starting(layer: nn.Module, direction: str, started: set[nn.Module]) -> Callable[..., Any]:
    run = getattr(layer, direction)

    def start_and_run(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if layer not in started:
            started.add(layer)
            _start(layer, direction, inputs)
        return run(inputs, *args, **kwargs)

    return start_and_run


@torch.no_grad()
def _start(layer: nn.Module, direction: str, inputs: Tensor) -> None:
    """Mean 0 and variance 1 of what leaves the layer in this direction."""
    if hasattr(layer, "data_dep_init_done"):
        scale, shift, dims = layer.s, layer.t, cast(list[int], layer.batch_dims)
    else:
        scale, shift, dims = layer.log_scale, layer.shift, [0, *range(2, inputs.dim())]
    mean, log_std = mean_and_log_std(inputs, dims)
    if direction == "forward":  # exp(s) x + t
        log_scale, offset = -log_std, -mean * torch.exp(-log_std)
    else:  # (x − t) exp(−s)
        log_scale, offset = log_std, mean
    cast(Tensor, scale).copy_(log_scale.view_as(cast(Tensor, scale)))
    cast(Tensor, shift).copy_(offset.view_as(cast(Tensor, shift)))
    _raise_flag(layer)


def _raise_flag(layer: nn.Module) -> None:
    if (flag := _flag_of(layer)) is not None:
        flag.fill_(1)
