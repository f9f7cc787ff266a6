"""Tabular training data as tensors: NumPy arrays, data frames and lists of rows, alone or with their context."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from nflows_spread.arrays import check_unmasked, is_frame, rows_of
from nflows_spread.mapped_files import unshrunk

_NUMBERS = (int, float, np.number)


def as_tensors(name: str, data: object) -> list[Tensor] | None:
    """Tensors of rows: the data and, of a pair, its context; None for what holds its rows in another way.

    Args:
        name: of the argument, for messages.
        data: a tensor; a NumPy array; a data frame, whose columns become features in their order; a list of rows, which
            are tensors, arrays or series of one dimension or lists of numbers, or a tuple of more than two such
            lists; or a tuple or list of two or more of these, the data and its contexts.

    Raises:
        TypeError: entries are no real numbers, some are masked, or what follows a table is no context.
        ValueError: rows of a list differ in length, or entries of a data frame are missing.
    """
    if _is_table(data) or _is_list_of_rows(data):
        return [_data(name, data)]
    if isinstance(data, (tuple, list)) and data and _is_part(data[0]) and all(map(_is_context, data[1:])):
        return [_data(name, data[0]), *(_as_tensor(f"the context of {name}", part) for part in data[1:])]
    if isinstance(data, (tuple, list)) and data and _is_table(data[0]):
        raise _no_context(name, next(part for part in data[1:] if not _is_context(part)))
    return None


def _no_context(name: str, part: object) -> TypeError:
    kind = f"{'an empty ' if isinstance(part, (tuple, list)) and not part else ''}{type(part).__name__}"
    return TypeError(
        f"the context of {name} must be a tensor, a NumPy array, a data frame or a list of numbers or rows, one for "
        f"each row of {name}, got {kind}; pass {name} alone where there is none"
    )


def _is_table(data: object) -> bool:
    return isinstance(data, (Tensor, np.ndarray)) or hasattr(data, "to_numpy") or hasattr(data, "toarray")


def _is_part(data: object) -> bool:
    return _is_table(data) or _is_list_of_rows(data)


def _is_context(data: object) -> bool:
    """A list of labels, one number for each row, is one too."""
    return _is_part(data) or (isinstance(data, list) and bool(data) and isinstance(data[0], _NUMBERS))


def _is_list_of_rows(data: object) -> bool:
    """Whether each entry is one row: numbers, lists of numbers, or a tensor or array of one dimension."""
    if isinstance(data, tuple):  # of two, it is the data and its context
        return len(data) > 2 and all(
            isinstance(row, (list, tuple)) and bool(row) and isinstance(row[0], _NUMBERS) for row in data
        )
    if not isinstance(data, list) or not data:
        return False
    if _is_table(data[0]):
        return all(isinstance(row, type(data[0])) and getattr(row, "ndim", None) == 1 for row in data)
    return isinstance(data[0], (list, tuple)) and _is_of_numbers(data[0])


def _is_of_numbers(row: object) -> bool:
    """Whether the first entry, of the first entry, … is a number."""
    if isinstance(row, (list, tuple)):
        return len(row) > 0 and _is_of_numbers(row[0])
    return isinstance(row, _NUMBERS)


def _data(name: str, data: Any) -> Tensor:
    """What must be of a floating dtype, as contexts need not."""
    tensor = _as_tensor(name, data)
    if isinstance(data, np.ndarray) and not tensor.is_floating_point():
        raise TypeError(f"{name} must be of a floating dtype, got {data.dtype}; convert it with .astype(float)")
    return tensor


def _as_tensor(name: str, data: Any) -> Tensor:
    if isinstance(data, Tensor):
        return data
    if is_frame(data):
        return rows_of(name, data)
    if hasattr(data, "toarray"):
        raise TypeError(f"{name} must be dense, got a sparse {type(data).__name__}; pass {name}.toarray()")
    if isinstance(data, (list, tuple)):
        lengths = sorted({len(row) for row in data if not isinstance(row, _NUMBERS)})
        if len(lengths) > 1:
            raise ValueError(f"the rows of {name} must be of one length, got {lengths}")
        if isinstance(data[0], Tensor):
            return torch.stack(list(data))
    check_unmasked(name, data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(
            f"{name} must hold rows of one shape, got others ({error}); pass rows and their context as two tables"
        ) from error
    if not isinstance(data, np.ndarray):  # people's numbers, where an array of integers rather is bytes of an image
        array = _as_floats(name, array)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; convert it with .astype(float)")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if not array.dtype.isnative or not array.flags.writeable or any(stride < 0 for stride in array.strides):
        with unshrunk(name, array):
            array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")  # tensors know no such arrays
    return torch.from_numpy(array)


def _as_floats(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Of a floating dtype: booleans and numbers of several kinds come as objects."""
    if array.dtype.kind in "fcmM" or (array.dtype.kind in "iu" and array.ndim == 1):  # no real numbers, or labels
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{name} must hold real numbers, got entries that are none ({error}); drop these columns or encode them"
        ) from error
