"""Data-dependent first values, once and on request."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.hosts import encode
from nflows_spread.transforms import ExplicitActNorm, GlowStep


@torch.no_grad()
def initialize(flow: nn.Module, x: Tensor, *, context: Tensor | None = None) -> int:
    """Set every ``ExplicitActNorm`` of a flow, the volume-preserving ones too, from the output of the layers before it.

    Call it once, before training and before the flow is wrapped or copied to several processes. What it
    sets are parameters, which are saved, loaded, copied and broadcast like all others.

    Args:
        flow: a flow of any host.
        x: a batch of data, shape (n, ...), at least two rows.
        context: conditioning inputs, one row for each row of ``x``.

    Returns:
        The number of layers that were set.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch of two rows or more, or does not
            fit the flow; then no layer has changed.
    """
    validation.points("x", x)
    if len(x) < 2:
        raise ValueError(f"x must have at least two rows, got {tuple(x.shape)}")
    encode(flow, x, context)  # what does not fit shows before the first layer changes
    layers = [module for module in flow.modules() if isinstance(module, ExplicitActNorm | GlowStep)]
    hooks = [layer.register_forward_pre_hook(_initialize_from_input) for layer in layers]
    try:
        encode(flow, x, context)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(isinstance(layer, ExplicitActNorm) for layer in layers)


def _initialize_from_input(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
    if isinstance(layer, ExplicitActNorm | GlowStep):  # a step never calls the actnorm that it holds
        layer.initialize(args[0])
