"""Error messages for wrappers, forks and other modules that are no flow of a known library."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

_FORKS = {
    ("_transform", "_distribution", "_embedding_net"): (
        "nflows.flows.Flow(flow._transform, DegenerateGaussian(shape), flow._embedding_net)"
    ),
    ("_transform", "_distribution"): "nflows.flows.Flow(flow._transform, DegenerateGaussian(shape))",
    ("q0", "flows", "merges"): (
        "normflows.MultiscaleFlow(flow.q0, flow.flows, flow.merges, flow.transform, class_cond=False)"
    ),
    ("q0", "flows"): "normflows.NormalizingFlow(DegenerateGaussian(shape), flow.flows)",
    ("transform", "base"): "zuko.flows.Flow(flow.transform, DegenerateGaussian(shape))",
}
"""The attributes by which a flow of a fork is known, the most particular first, and the call that takes its layers."""

_OF_A_LAYER = (
    "nflows.flows.Flow(layer, DegenerateGaussian(shape)) or "
    "normflows.NormalizingFlow(DegenerateGaussian(shape), [layer]) from it"
)
_AFTERWARDS = "and compile or wrap the loss if need be"

_OF_A_LAZY_TRANSFORM = "zuko.flows.Flow(transform, DegenerateGaussian(shape))"


def name_of(kind: type) -> str:
    """The name of a class and of its module, because forks carry the names of the original's classes."""
    return f"{kind.__qualname__} of {kind.__module__}"


def advice_on_a_layer(found: object, wanted: Callable[[nn.Module], bool]) -> str:
    """What to put in the place of a module that wraps what is wanted, or nothing if it holds none.

    Args:
        found: what was given.
        wanted: whether a module could be taken.
    """
    inside = _held_by(found, wanted)
    return "" if inside is None else f"; put what it holds at {inside!r} in its place, {_AFTERWARDS}"


def advice_on_an_argument(found: object, name: str, wanted: Callable[[nn.Module], bool]) -> str:
    """What to pass instead of a module that wraps what is wanted, or nothing if it holds none."""
    inside = _held_by(found, wanted)
    if inside is None:
        return ""
    identifiers = all(part.isidentifier() for part in inside.split("."))
    return f"; pass {name}.{inside if identifiers else f'get_submodule({inside!r})'}, {_AFTERWARDS}"


def advice_on_a_flow(found: object, wanted: Callable[[nn.Module], bool]) -> str:
    """As for an argument, and for a flow of a fork, or a layer alone, the call of a known library that takes it."""
    inside = advice_on_an_argument(found, "flow", wanted)
    if inside or not isinstance(found, nn.Module):
        return inside
    call = next((call for names, call in _FORKS.items() if all(hasattr(found, name) for name in names)), None)
    if call is not None:
        return f"; if it is a fork's, whose layers are called as the original's, build {call}"
    if hasattr(found, "inverse"):
        return f"; if it is a layer, build {_OF_A_LAYER}"
    return f"; if it is a lazy transform, build {_OF_A_LAZY_TRANSFORM} from it" if hasattr(found, "inv") else ""


def _held_by(found: object, wanted: Callable[[nn.Module], bool]) -> str | None:
    if not isinstance(found, nn.Module):
        return None
    return next((path for path, module in found.named_modules() if path and wanted(module)), None)
