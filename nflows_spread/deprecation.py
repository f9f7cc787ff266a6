"""Deprecated names: what was renamed is found under its old name too, with a warning that says what to write."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

Made = TypeVar("Made", bound=Callable[..., Any])


class RenamedAttribute:
    """A read-only attribute that is another one's old name.

    Args:
        now: the name that it has now.

    Example:
        >>> class Estimates:
        ...     ambient_noise = 0.1
        ...     thickness = RenamedAttribute("ambient_noise")
        >>> with warnings.catch_warnings(record=True):
        ...     Estimates().thickness
        0.1
    """

    def __init__(self, now: str) -> None:
        self._now = now

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        value = getattr(instance, self._now)
        _warn(f"{type(instance).__name__}.{self._name} is now called {self._now}")
        return value


def renamed_arguments(names: Mapping[str, str]) -> Callable[[Made], Made]:
    """Let a function, or the constructor of a class, take keyword arguments under their old names.

    Args:
        names: new names by the old ones.

    Raises:
        TypeError: from a call that gives an argument under both names.

    Example:
        >>> @renamed_arguments({"looks": "patience"})
        ... def stop(*, patience: int) -> int:
        ...     return patience
        >>> with warnings.catch_warnings(record=True):
        ...     stop(looks=3)
        3
    """

    def decorate(made: Made) -> Made:
        call: Callable[..., Any] = made.__init__ if isinstance(made, type) else made  # type: ignore[misc]

        @wraps(call)
        def translated(*args: Any, **given: Any) -> Any:
            for old in names.keys() & given.keys():
                now = names[old]
                if now in given:
                    raise TypeError(f"{made.__name__} takes {now} once, got it as {old} too; {old} is its old name")
                _warn(f"the argument {old} of {made.__name__} is now called {now}")
                given[now] = given.pop(old)
            return call(*args, **given)

        if not isinstance(made, type):
            return translated  # type: ignore[return-value]
        made.__init__ = translated  # type: ignore[misc]
        return made

    return decorate


def moved(before: str, name: str, *, now: str, names: Sequence[str]) -> Any:
    """What a name of a module is where it has moved to, for the ``__getattr__`` that is left in its old place.

    The new place is imported when it is first asked for, so that the old one may be in a layer below it.

    Args:
        before: the module that it was in.
        name: what is asked for.
        now: the module that has it now.
        names: all that has moved from the one to the other.

    Raises:
        AttributeError: it is none of them.
    """
    if name not in names:
        raise AttributeError(f"module {before!r} has no attribute {name!r}")
    _warn(f"{before}.{name} is now in {now}", calls=3)
    return getattr(import_module(now), name)


def _warn(message: str, *, calls: int = 2) -> None:
    """Of the line that uses the old name, so many calls up."""
    warnings.warn(f"{message}, and will lose its old name in 1.0", DeprecationWarning, stacklevel=calls + 1)
