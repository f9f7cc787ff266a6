"""Data-dependent initialization of layers: they take their first values from data, once and on request."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.deprecation import moved_names
from nflows_spread.hosts import encode
from nflows_spread.hosts.first_batch import (
    Initializers,
    encoding_method_of,
    initializers_of_waiting_layers,
    set_on_arrival,
    waiting_layers_held,
)


@runtime_checkable
class DataDependentLayer(Protocol):
    """A layer that can take first values from data. Any module that has this method takes part in ``initialize``.

    It may also have an attribute or property ``is_initialized``: where that is True, ``initialize`` leaves the layer as
    it is, unless it is asked for by its class. Without it a layer is set each time.
    """

    def initialize(self, inputs: Tensor) -> Any:
        """Set parameters and buffers, in place, from what arrives at this layer on the way from data to latent.

        It is called once, without gradients, before these inputs pass through the method by which the layer encodes,
        ``forward`` (of a layer of normflows ``inverse``); the layers on the way there have been set before. A layer
        that runs the other way round, in nflows' ``InverseTransform`` for example, is left as it is. What it raises
        reaches the caller, after all parameters, buffers and other attributes of the layers have become what they were.

        Args:
            inputs: shape (n, ...), two rows or more.
        """


@torch.no_grad()
@typed
def initialize(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    only: type[nn.Module] | tuple[type[nn.Module], ...] = nn.Module,
) -> int:
    """Set every layer of a flow that can take first values from data from the output of the layers before it.

    These are all that follow ``DataDependentLayer``, your own too: each ``ExplicitActNorm``, the volume-preserving
    ones too, and each ``PrincipalRotation`` that has no directions yet. An ``ActNorm`` of nflows or normflows that
    still waits for its first batch is set as well, in training and in evaluation mode. A channel that is constant up
    to rounding is not blown up: its deviation is below 64 roundings of its own values, or below 7.6e-6 (64 roundings
    of float32) of the largest; scale columns of such different units first.

    Call it once, before training and before the flow is wrapped or copied to several processes. What it sets are
    parameters and buffers, which are saved, loaded, copied and broadcast like all others.

    Args:
        flow: a flow of any host.
        x: a batch of data, shape (n, ...), at least two rows.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        only: the class, or classes, of the layers to set, also of those that have been set before. Where there are
            none of them, nothing is done.

    Returns:
        The number of layers that were set.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch of two rows or more, or does not
            fit the flow, or ``only`` is no class; then no layer has changed.
    """
    validation.two_points("x", x)
    kinds = only if isinstance(only, tuple) else (only,)
    if not all(isinstance(kind, type) for kind in kinds):
        raise TypeError(f"only must be a class of layers, or a tuple of some, got {only!r}")
    everything = only is nn.Module
    initializers = {
        (layer, method): set_layer
        for (layer, method), set_layer in (initializers_of_waiting_layers(flow) | _initializers_of_layers(flow)).items()
        if isinstance(layer, kinds) and not (everything and getattr(layer, "is_initialized", False))
    }
    return len(set_from_data(flow, x, initializers, context)) if initializers or everything else 0


@torch.no_grad()
def set_from_data(
    flow: nn.Module, x: Tensor, initializers: Initializers, context: Tensor | None = None
) -> set[nn.Module]:
    """Pass data through a flow, and set layers from what arrives at them; all of them, or none if something fails.

    Args:
        flow: a flow of any host.
        x: a batch of data, shape (n, ...).
        initializers: how each layer is set.
        context: conditioning inputs, one row for each row of ``x``, or one for all.

    Returns:
        The layers that were met and set.
    """
    before = _Before([layer for layer, _ in initializers])
    with waiting_layers_held(flow) as held:
        encode(flow, x, context)  # what does not fit shows before the first layer changes
        try:
            with set_on_arrival(initializers) as done:
                encode(flow, x, context)
        except BaseException:
            before.put_back()
            raise
        held.difference_update(done)
    return done


def _initializers_of_layers(flow: nn.Module) -> Initializers:
    layers = [module for module in flow.modules() if module is not flow and isinstance(module, DataDependentLayer)]
    return {(layer, encoding_method_of(layer)): layer.initialize for layer in layers if _takes_inputs(layer)}


def _takes_inputs(layer: DataDependentLayer) -> bool:
    """Whether its ``initialize`` is the protocol's, with one argument that it needs, and not another of this name."""
    try:
        parameters = inspect.signature(layer.initialize).parameters.values()
    except (AttributeError, TypeError, ValueError):  # something else that is called so, or a property without a value
        return False
    needed = [parameter for parameter in parameters if parameter.default is parameter.empty]
    return [parameter.kind for parameter in needed] in (
        [inspect.Parameter.POSITIONAL_OR_KEYWORD],
        [inspect.Parameter.POSITIONAL_ONLY],
    )


class _Before:
    """What layers are, to be put back: their attributes, and the values of their parameters and buffers.

    Not their ``state_dict``, which has neither buffers that are not saved nor a mark that is a plain attribute, and
    which a layer that has got other parameters on the way no longer takes.
    """

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        parts = list(dict.fromkeys(part for layer in layers for part in layer.modules()))
        self._attributes = [(part, dict(vars(part))) for part in parts]
        tables: list[Any] = [table for part in parts for table in (part._parameters, part._buffers, part._modules)]
        self._tables = [(table, dict(table)) for table in tables]
        tensors = {tensor for part in parts for tensor in (*part.parameters(), *part.buffers())}
        self._values = [(tensor, tensor.clone()) for tensor in tensors]

    def put_back(self) -> None:
        for part, attributes in self._attributes:
            vars(part).clear()
            vars(part).update(attributes)
        for table, content in self._tables:
            table.clear()
            table.update(content)
        for tensor, value in self._values:
            if not torch.equal(tensor, value):
                tensor.copy_(value)


__getattr__ = moved_names(__name__, {"initialize_prior": "nflows_spread.initialize_prior"})
