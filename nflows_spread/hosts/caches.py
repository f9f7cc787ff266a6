"""Stale caches of linear layers, in which nflows keeps a weight whatever becomes of the parameters."""

from __future__ import annotations

from torch import nn

from nflows_spread.transforms.linear import FullPrecisionLinear


def forget_caches(flow: nn.Module, *kinds: type[nn.Module]) -> None:
    """Let each layer of a flow that caches its weight take it anew from its parameters, at the price of one weight.

    Such a layer answers from the old weight after ``load_state_dict``, after a conversion to another dtype, and
    without a gradient where the weight was first asked for without one. Layers of this package know by themselves
    what their caches belong to.

    Args:
        flow: a flow in evaluation mode; in training mode no cache is used, and nothing happens.
        kinds: classes with ``using_cache`` and ``cache``.
    """
    if flow.training:
        return
    waiting: list[nn.Module | None] = [flow]
    while waiting:  # at each call of a read-out, so not by ``modules()``, which takes five times as long
        layer = waiting.pop()
        if layer is None:
            continue
        waiting.extend(layer._modules.values())
        if isinstance(layer, kinds) and layer.using_cache and not isinstance(layer, FullPrecisionLinear):
            layer.cache.invalidate()  # type: ignore[union-attr,operator]
