"""Data-dependent initialization of the hosts' layers: which wait for a first batch, and how they are set on request.

nflows' ``ActNorm`` waits for a batch in training mode, normflows' for any. Both divide by the standard deviation of
a channel even where it is rounding alone; set here they follow the rule of ``ExplicitActNorm``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from nflows_spread.hosts.registry import hosts_for, method_of
from nflows_spread.transforms.actnorm import mean_and_log_std

Initializers = dict[tuple[nn.Module, str], Callable[[Tensor], Any]]
"""What sets a layer from its inputs, by the layer and the method through which they arrive."""

_FLAGS = ("initialized", "data_dep_init_done")
"""The buffers in which nflows' and normflows' ``ActNorm`` note that they have set themselves; forks keep the names."""

_DIRECTIONS = ("forward", "inverse")


def layers_waiting_for_a_batch(module: nn.Module) -> dict[str, nn.Module]:
    """The layers, by name, that would set themselves from the first batch they meet."""
    return {name: layer for name, layer in module.named_modules() if _is_waiting(layer)}


@contextmanager
def waiting_layers_held(
    module: nn.Module, *, kind: type[nn.Module] = nn.Module, but_in_training: bool = False
) -> Iterator[set[nn.Module]]:
    """Inside, no ``ActNorm`` that waits for its first batch sets itself.

    Args:
        module: what has such layers.
        kind: their class; others are left to themselves.
        but_in_training: leave those in training mode to themselves, too.

    Yields:
        Those that will wait again afterwards; one that is taken out of the set counts as set.
    """
    waiting = [layer for layer in module.modules() if isinstance(layer, kind) and _is_waiting_actnorm(layer)]
    free = [layer for layer in waiting if but_in_training and layer.training]
    held = set(waiting) - set(free)
    for layer in held:
        _flag_of(layer).fill_(1)
    try:
        yield held
    finally:
        for layer in held:
            _flag_of(layer).fill_(0)
        for layer in free:  # normflows puts a new tensor there, on the CPU
            if hasattr(layer, "data_dep_init_done"):
                layer.data_dep_init_done = _flag_of(layer).to(cast(Tensor, layer.s).device)


def initializers_of_waiting_layers(module: nn.Module) -> Initializers:
    """How each ``ActNorm`` that waits is set: in either direction and mode, so that what leaves it is standardised."""
    waiting = [layer for layer in module.modules() if _is_waiting_actnorm(layer)]
    return {
        (layer, direction): partial(_initialize_actnorm, layer, direction)
        for layer in waiting
        for direction in _DIRECTIONS
    }


def encoding_method_of(layer: nn.Module) -> str:
    """The method by which a layer, or a net in it, takes data towards the latent; see ``Host.encoding_method``."""
    found = ((host, host.encoding_method) for host in hosts_for(type(layer)))  # of a class of several: whose is another
    names = (name for host, name in found if name != "forward" and host.method_of(layer, name) is not None)
    return next(names, "forward")


@contextmanager
def set_on_arrival(initializers: Initializers) -> Iterator[set[nn.Module]]:
    """Inside, each of these layers is set from what first arrives at it, before that passes through it.

    Yields:
        Those that have been set so far.
    """
    done = set[nn.Module]()
    own = {(layer, method): vars(layer).get(method) for layer, method in initializers}
    for (layer, method), initialize in initializers.items():
        vars(layer)[method] = _initialized_on_arrival(layer, method, initialize, done)
    try:
        yield done
    finally:
        for (layer, method), before in own.items():
            if before is None:  # as of almost all layers: the method is that of the class
                del vars(layer)[method]
            else:
                vars(layer)[method] = before


def _is_waiting(layer: nn.Module) -> bool:
    return any(not bool(flag) for flag in _flags_of(layer))


def _is_waiting_actnorm(layer: nn.Module) -> bool:
    """Whether a layer waits whose scale and shift are known by their names."""
    return _is_waiting(layer) and (
        (hasattr(layer, "log_scale") and hasattr(layer, "shift")) or hasattr(layer, "data_dep_init_done")
    )


def _flags_of(layer: nn.Module) -> list[Tensor]:
    found = [getattr(layer, name, None) for name in _FLAGS]
    return [flag for flag in found if isinstance(flag, Tensor) and flag.numel() == 1]


def _flag_of(layer: nn.Module) -> Tensor:
    return _flags_of(layer)[0]


def _initialized_on_arrival(
    layer: nn.Module, method: str, initialize: Callable[[Tensor], Any], done: set[nn.Module]
) -> Callable[..., Any]:
    run = method_of(layer, method)

    def initialize_and_run(inputs: Tensor, *args: Any, **kwargs: Any) -> Any:
        if layer not in done:
            done.add(layer)
            initialize(inputs)
        return run(inputs, *args, **kwargs)

    return initialize_and_run


@torch.no_grad()
def _initialize_actnorm(layer: nn.Module, direction: str, inputs: Tensor) -> None:
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
    _flag_of(layer).fill_(1)
