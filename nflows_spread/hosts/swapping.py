"""Base swapping: a shallow copy of a flow, of its class and with its attributes, that has another base."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MethodType
from typing import TypeGuard, TypeVar

from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def with_base(flow: ModuleT, name: str, base: nn.Module, derived: Mapping[str, object]) -> ModuleT:
    """A flow of the same class and mode, with the same attributes, children and parameters, but for its base.

    No constructor runs, because that of a subclass may take anything. Methods of the flow that are among its
    attributes become those of the new flow.

    Args:
        flow: stays as it is.
        name: of the child that is the base; where the class has it by another name too, that is changed with it.
        base: the new one.
        derived: attributes that the constructor of the library's class makes from the base.
    """
    swapped, own, old = object.__new__(type(flow)), vars(nn.Module()), getattr(flow, name)
    kept = {key: value for key, value in vars(flow).items() if key not in (name, "_compiled_call_impl")}
    methods = {key: MethodType(value.__func__, swapped) for key, value in kept.items() if _is_method_of(flow, value)}
    copied = {key: copy.copy(value) for key, value in kept.items() if key in own}
    vars(swapped).update({**kept, **copied, **methods, **derived})
    for key, child in {name: old, **flow._modules}.items():
        swapped._modules[key] = base if child is old else child
    return swapped


def _is_method_of(flow: nn.Module, value: object) -> TypeGuard[MethodType]:
    return isinstance(value, MethodType) and value.__self__ is flow
