"""Modules that run otherwise for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from torch import nn


@contextmanager
def forwards_replaced(modules: Sequence[nn.Module], make: Callable[[nn.Module], Callable[..., Any]]) -> Iterator[None]:
    """Inside, each module has the forward pass that is made for it; afterwards that of its class is found again."""
    for module in modules:
        cast(Any, module).forward = make(module)
    try:
        yield
    finally:
        for module in modules:
            del cast(Any, module).forward
