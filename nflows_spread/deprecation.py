"""Deprecated names: what was renamed is found under its old name too, with a warning that says what to write."""

from __future__ import annotations

import copy
import dataclasses
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from importlib import import_module
from types import ModuleType
from typing import Any, TypeVar

Made = TypeVar("Made", bound=Callable[..., Any])

_IN_BETWEEN = (dataclasses.__file__, copy.__file__)
"""Files of ``replace``, which calls a constructor for whoever calls it."""


class RenamedAttribute:
    """A read-only attribute that is another one's old name, of a class and of what it makes.

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
        value = getattr(owner if instance is None else instance, self._now)
        _warn(f"{(owner or type(instance)).__name__}.{self._name} is now called {self._now}")
        return value


def replaced_by(call: str) -> Callable[[Made], Made]:
    """Let a function warn that another call has taken its place.

    Args:
        call: what to write now.

    Example:
        >>> @replaced_by("abs(x)")
        ... def magnitude(x: float) -> float:
        ...     return abs(x)
        >>> with warnings.catch_warnings(record=True):
        ...     magnitude(-3.0)
        3.0
    """

    def decorate(function: Made) -> Made:
        @wraps(function)
        def warned(*args: Any, **given: Any) -> Any:
            _warn(f"{function.__name__} is now {call}")
            return function(*args, **given)

        return warned  # type: ignore[return-value]

    return decorate


def renamed_arguments(names: Mapping[str, str]) -> Callable[[Made], Made]:
    """Let a function, or the constructor of a class, take keyword arguments under their old names.

    Args:
        names: new names by the old ones.

    ``dataclasses.replace``, which gives each field that it was not told at its present value, takes old names too.

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
            replacing = is_dataclass(made) and all(field.name in given for field in fields(made) if field.init)
            for old in [name for name in names if name in given]:
                now = names[old]
                if now in given and not replacing:
                    raise TypeError(f"{made.__name__} takes {now} once, got it as {old} too; {old} is its old name")
                _warn(f"the argument {old} of {made.__name__} is now called {now}")
                given[now] = given.pop(old)
            return call(*args, **given)

        if not isinstance(made, type):
            return translated  # type: ignore[return-value]
        made.__init__ = translated  # type: ignore[misc]
        return made

    return decorate


def moved_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """What a module that names were taken out of has as its ``__getattr__``: each is found where it is now.

    Args:
        module: the module's own ``__name__``.
        names: by the old names, where things are now: module and name with a dot between.

    Example:
        >>> found = moved_names("old.place", {"root": "math.sqrt"})
        >>> with warnings.catch_warnings(record=True):
        ...     found("root")(9.0)
        3.0
    """

    def of_the_module(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        _warn(f"{module}.{name} is now {names[name]}")
        where, _, now = names[name].rpartition(".")
        return getattr(import_module(where), now)

    return of_the_module


def moved_module(module: str, names: Mapping[str, str]) -> None:
    """Let a module that is gone be imported still, by pickles above all, which hold the places of their classes.

    Args:
        module: its full name, within a package that is being imported.
        names: as for ``moved_names``.

    Example:
        >>> moved_module("nflows_spread.old_place", {"root": "math.sqrt"})
        >>> from nflows_spread import old_place
        >>> with warnings.catch_warnings(record=True):
        ...     old_place.root(9.0)
        3.0
    """
    gone = ModuleType(module, f"Deprecated: {', '.join(names.values())}.")
    gone.__getattr__ = moved_names(module, names)  # type: ignore[method-assign]
    sys.modules[module] = gone


def renamed_state(state: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a pickled object, (old or new name to value), under the names that they have now.

    Args:
        state: what ``__setstate__`` is given.
        names: new names by the old ones.

    Example:
        >>> renamed_state({"thickness": 0.1, "even": False}, {"thickness": "ambient_noise"})
        {'ambient_noise': 0.1, 'even': False}
    """
    return {names.get(name, name): value for name, value in state.items()}


def _warn(message: str) -> None:
    """Of the line that uses the old name, two calls up or, through ``replace``, more."""
    frame, level = sys._getframe(2), 3
    while frame.f_back is not None and frame.f_code.co_filename in _IN_BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(f"{message}, and will lose its old name in 1.0", DeprecationWarning, stacklevel=level)
