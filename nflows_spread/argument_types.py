"""Type checks of the arguments of public functions, by their annotations: rule, value received and remedy.

``@typed`` stands over what users call. It says no to a text for a number, to ``"no"`` for False and to a generator of
NumPy, before anything is changed. Ranges are checked where the arguments are used, by ``validation``.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nflows_spread import validation

F = TypeVar("F", bound=Callable[..., Any])
Check = Callable[[str, Any], object]
"""Raises ``TypeError`` for an argument of that name that is of another type."""


def typed(function: F) -> F:
    """The function, or the class by its constructor, with arguments that are checked by their annotations.

    Annotations of other types than ``KINDS`` has, and unions with such, are left alone; so are omitted arguments.
    A ``TypeError`` for a call that Python itself refuses, as one with too many arguments, stays Python's.

    Example:
        >>> @typed
        ... def root(value: float, *, generator: torch.Generator | None = None) -> float:
        ...     return value**0.5
        >>> root(4)
        2.0
        >>> root("4")
        Traceback (most recent call last):
        TypeError: value must be a number, got '4' of type str
    """
    if isinstance(function, type):
        function.__init__ = typed(function.__init__)  # type: ignore[misc]
        return function
    parameters = inspect.signature(function).parameters.values()
    checks = {each.name: check for each in parameters if (check := _check_of(each.annotation)) is not None}
    in_order = [(each.name, checks.get(each.name)) for each in parameters if each.kind is not each.KEYWORD_ONLY]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for (name, check), value in zip(in_order, args, strict=False):
            if check is not None:
                check(name, value)
        for name, value in kwargs.items():
            if name in checks:
                checks[name](name, value)
        return function(*args, **kwargs)

    return cast(F, checked)


def _check_of(annotation: Any) -> Check | None:
    """The check of an annotation as it is written; None where it says something else."""
    parts = str(annotation).split(" | ")
    kinds = [part.partition("[")[0] if part.startswith("Callable[") else part for part in parts if part != "None"]
    if not kinds or any(kind not in KINDS for kind in kinds):
        return None
    rules = [KINDS[kind] for kind in kinds]
    optional = "None" in parts

    def check(name: str, value: Any) -> None:
        if value is None and optional:
            return
        errors = []
        for rule in rules:
            try:
                rule(name, value)
                return
            except TypeError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        described = " or ".join(str(error).partition(" must be ")[2].partition(", got ")[0] for error in errors)
        raise _refused(name, described, value)

    return check


_LONGEST = 200
"""Characters of a value that an error shows, at most: a choice, two lines of a terminal."""


def _refused(name: str, rule: str, value: Any, remedy: str = "") -> TypeError:
    shown = " ".join((f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)).split())
    shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
    return TypeError(f"{name} must be {rule}, got {shown} of type {type(value).__name__}{remedy}")


def _number(name: str, value: Any) -> None:
    """What ``float`` takes but for texts: numbers of Python and NumPy, and tensors of one."""
    try:
        if not isinstance(value, (str, bytes)):
            float(value)
            return
    except (TypeError, ValueError, RuntimeError):
        pass
    raise _refused(name, "a number", value)


def _sizes(name: str, value: Any) -> None:
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise _refused(name, "a sequence of integers", value)
    for each in value:
        validation.integer(f"each entry of {name}", each)


def _instance(kind: type | tuple[type, ...], described: str) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, kind):
            raise _refused(name, described, value)

    return check


def _module(name: str, value: Any) -> None:
    if isinstance(value, nn.Module):
        return
    made = "; pass the module that returned this distribution when it was called, with what it was given as context"
    raise _refused(name, "a torch.nn.Module", value, made if isinstance(value, Distribution) else "")


def _callable(name: str, value: Any) -> None:
    if not callable(value):
        raise _refused(name, "a function", value)


KINDS: dict[str, Check] = {
    "int": validation.integer,
    "float": _number,
    "bool": validation.switch,
    "str": _instance(str, "a text"),
    "Path": _instance(os.PathLike, "a path"),
    "Tensor": validation.tensor,
    "nn.Module": _module,
    "Callable": _callable,
    "Sequence[int]": _sizes,
    "torch.Generator": _instance(torch.Generator, "a torch.Generator, as torch.Generator().manual_seed(0)"),
}
"""The checks of annotations, as these are written."""
