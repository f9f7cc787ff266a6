"""Argument validation: each error, or warning, gives the rule, the value received, and the remedy."""

from __future__ import annotations

import math
import operator
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex, cast

import torch
from torch import Tensor

from nflows_spread.linalg.torch_func import under_transforms

_BETWEEN = ("torch", "sklearn")
"""Packages whose decorators, modules and pipelines are between this package and what called it."""


def positive(name: str, value: float) -> float:
    """``value`` as a float if it is finite and above 0, else ``ValueError``."""
    number = float(value)
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError(f"{name} must be a finite number above 0, got {value}")
    return number


def non_negative(name: str, value: float) -> float:
    """``value`` as a float if it is finite and at least 0, else ``ValueError``."""
    number = float(value)
    if not (math.isfinite(number) and number >= 0.0):
        raise ValueError(f"{name} must be a finite number of at least 0, got {value}")
    return number


def positive_int(name: str, value: int) -> int:
    """``value`` if it is an integer above 0, else ``TypeError`` or ``ValueError``."""
    number = integer(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def non_negative_int(name: str, value: int) -> int:
    """``value`` if it is an integer of at least 0, else ``TypeError`` or ``ValueError``."""
    number = integer(name, value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0, got {number}")
    return number


def share(name: str, value: float) -> float:
    """``value`` as a float if it is above 0 and at most 1, else ``ValueError``."""
    number = float(value)
    if not 0.0 < number <= 1.0:
        raise ValueError(f"{name} must be above 0 and at most 1, got {value}")
    return number


def seed(name: str, value: int) -> int:
    """``value`` as a plain int if it is an integer of 64 bits and no sign, else ``TypeError`` or ``ValueError``."""
    number = integer(name, value)
    if not 0 <= number < 2**64:
        raise ValueError(f"{name} must be between 0 and 2^64 − 1, got {number}")
    return number


def switch(name: str, value: bool) -> bool:
    """``value`` as a plain bool if it is one, NumPy's included, else ``TypeError``."""
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's is no subclass, and has two names
        raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


def rank_within(rank: int, features: int) -> int:
    """``rank`` as a plain int if 1 ≤ rank ≤ features, else ``TypeError`` or ``ValueError``."""
    number = integer("rank", rank)
    if not 1 <= number <= features:
        raise ValueError(f"rank must be between 1 and {features}, got {number}")
    return number


def shape(name: str, value: int | Sequence[int]) -> torch.Size:
    """A size or a sequence of sizes as a shape if all are at least 1, else ``TypeError`` or ``ValueError``."""
    sequence = isinstance(value, Sequence) and not isinstance(value, str)
    if not sequence and (isinstance(value, Tensor) or not _is_index(value)):
        raise TypeError(
            f"{name} must be a size or a sequence of sizes, got {value!r} of type {type(value).__name__}; "
            f"write [3] or 3 for three features"
        )
    given = cast(Sequence[int], value) if sequence else [cast(int, value)]
    sizes = [integer(f"each entry of {name}", size) for size in given]
    if not sizes or min(sizes) < 1:
        raise ValueError(f"{name} must have at least one entry and all entries at least 1, got {tuple(sizes)}")
    return torch.Size(sizes)


def sizes(name: str, value: Sequence[int]) -> tuple[int, ...]:
    """Sizes as plain ints, none of them too, if all are at least 1, else ``TypeError`` or ``ValueError``."""
    return tuple(positive_int(f"each entry of {name}", size) for size in value)


def _is_index(value: object) -> bool:
    """Whether Python takes it for an integer; an array has the method too, but not the one number."""
    try:
        operator.index(cast(SupportsIndex, value))
    except TypeError:
        return False
    return True


def integer(name: str, value: SupportsIndex) -> int:
    """Python's and NumPy's integers, but no booleans."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or isinstance(value, Tensor):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    return int(value)


def tensor(name: str, value: Tensor) -> Tensor:
    """``value`` if it is a tensor, else ``TypeError``."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}; convert it with torch.as_tensor")
    return value


def floating(name: str, value: Tensor) -> Tensor:
    """``value`` if it is a floating-point tensor, else ``TypeError``."""
    if not tensor(name, value).is_floating_point():
        raise TypeError(f"{name} must be of a floating dtype, got {value.dtype}; convert it with .float()")
    return value


def points(name: str, value: Tensor, *, labels: Sequence[object] | None = None) -> Tensor:
    """``value`` if it is a non-empty batch of finite floating-point rows, else ``TypeError`` or ``ValueError``.

    The test for finite values reads the data back from the device, and is left out while
    ``torch.compile`` traces and under the transforms of ``torch.func``. Where columns have labels, it names them.
    """
    floating(name, value)
    if value.dim() < 2 or len(value) == 0:
        raise ValueError(f"{name} must hold at least one row, (n, ...), got shape {tuple(value.shape)}")
    unread = torch.compiler.is_compiling() or under_transforms(value)
    if not unread and not all_finite(value):
        entries = ~torch.isfinite(value).flatten(1)
        bad, where = entries.any(1), ""
        if labels is not None:
            named = [repr(label) for label, some in zip(labels, entries.any(0).tolist()) if some]
            where = f", in column{'s' if len(named) > 1 else ''} {listed(named, most=FEW)}"
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {int(bad.sum())} of {len(value)} rows, "
            f"the first at index {int(bad.nonzero()[0])}{where}; drop or repair these rows"
        )
    return value


def two_points(name: str, value: Tensor) -> Tensor:
    """``value`` if it is a batch of at least two rows, as for ``points``, else ``TypeError`` or ``ValueError``."""
    if len(points(name, value)) < 2:
        raise ValueError(f"{name} must have at least two rows, got {tuple(value.shape)}")
    return value


def context_of(rows: int, context: Tensor | None, *, of: str = "inputs") -> Tensor | None:
    """The context with one row for each of the inputs, where it has that, or one row, which serves them all; or None.

    ``of`` is what an error calls the rows: ``"inputs"``, or ``"samples"``, whose number is the caller's to choose.

    Raises:
        TypeError: it is no tensor.
        ValueError: it has another number of rows.
    """
    if context is None:
        return None
    shape = tensor("context", context).shape
    if shape[:1] == (rows,):
        return context
    if shape[:1] == (1,):
        return context.expand(rows, *shape[1:])
    remedy = "pass context[:1] for one of them"
    if shape and of == "samples":
        remedy += f", or num_samples={shape[0]} for a sample of each"
    if shape and shape[0] and rows % shape[0] == 0:
        remedy = f"context.repeat_interleave({rows // shape[0]}, 0) has each of them {rows // shape[0]} times"
    raise ValueError(
        f"context must have one row for each of the {rows} {of}, or one for all, got "
        + (f"{shape[0]} rows; {remedy}" if shape else "a number; pass context.view(1, 1)")
    )


def all_finite(value: Tensor) -> bool:
    """Whether no entry is NaN or infinite, which a finite sum proves at a third of the cost of looking at each."""
    return math.isfinite(float(value.detach().sum())) or bool(torch.isfinite(value).all())


FEW = 5
"""Names that a message has, at most, where there may be dozens, as of columns of images: a choice."""


def matrix(name: str, value: Tensor, *, rows: int | None = None, columns: int | None = None) -> Tensor:
    """``value`` if it is a finite matrix with so many rows or columns, else ``ValueError``."""
    if value.dim() != 2 or len(value) != (rows or len(value)) or value.shape[1] != (columns or value.shape[1]):
        wanted = f"{rows} rows" if rows else f"{columns} columns"
        raise ValueError(f"{name} must be a matrix of {wanted}, got shape {tuple(value.shape)}")
    if not all_finite(value):
        raise ValueError(f"{name} must be finite, got {int((~value.isfinite()).sum())} values that are not")
    return value


def listed(names: Sequence[object], *, most: int = 10) -> str:
    """The first so many names for a message, and how many there are beside them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def counted(coordinates: int) -> str:
    """So many coordinates, in words."""
    return f"{coordinates} {'coordinate' if coordinates == 1 else 'coordinates'}"


class ThinColumnsWarning(UserWarning):
    """Columns vary so little beside others that training hardly sees them; no news of pixels, which are in one unit."""


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """A warning at the line that called this package, however far up that is."""
    loaded = [sys.modules[name].__file__ for name in _BETWEEN if sys.modules.get(name) is not None]
    inside = tuple(f"{Path(path).parent}{os.sep}" for path in (__file__, *loaded) if path is not None)
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(inside):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
