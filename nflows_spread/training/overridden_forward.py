"""Temporarily overridden forward passes, and other methods, of modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from nflows_spread.hosts.registry import method_of

Forward = Callable[..., Any]


@contextmanager
def overridden_forward(
    methods: Sequence[tuple[nn.Module, str]], make: Callable[[nn.Module, Forward], Forward]
) -> Iterator[None]:
    """Inside, each method is the one that is made for it, and afterwards what it was.

    Args:
        methods: modules and the names of the methods by which they are run, ``"forward"`` as a rule.
        make: from a module and its own method, which is called as it stands, what runs in its place.
    """
    before = [(module, name, vars(module).get(name)) for module, name in methods]
    for module, name in methods:
        vars(module)[name] = make(module, method_of(module, name))
    try:
        yield
    finally:
        for module, name, own in before:
            if own is None:  # as of almost all modules: the method is that of the class
                del vars(module)[name]
            else:
                vars(module)[name] = own
