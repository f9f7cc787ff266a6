"""Points come as NumPy arrays, tensors or what converts to them, and results go out in the same kind."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation

Array = TypeVar("Array", bound=Any)
"""A NumPy array or a tensor: what comes in decides what goes out."""


def rows_of(name: str, value: Any) -> Tensor:
    """A matrix of finite real numbers, one row a point, as a float32 or float64 tensor (n, D) on the CPU.

    Args:
        name: of the argument, for messages.
        value: a tensor, a NumPy array of any layout and byte order, or what ``numpy.asarray`` takes, as data frames.

    Raises:
        TypeError: the entries are no real numbers, or some are masked.
        ValueError: another shape, no rows, or entries that are not finite.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            raise TypeError(f"{name} must hold real numbers, got {value.dtype}; pass .real, or both parts as features")
        rows = value.detach().cpu()
        rows = rows if rows.dtype == torch.float32 else rows.double()
    else:
        rows = _from_numpy(name, value)
    if rows.dim() != 2:
        raise ValueError(f"{name} must be a matrix, one row a point, got shape {tuple(rows.shape)}")
    return validation.points(name, rows)


def like(example: Array, result: Tensor) -> Array:
    """The result as a tensor, or as a NumPy array, in the floating dtype of the example."""
    if isinstance(example, Tensor):
        return cast(Array, result.to(example.dtype if example.is_floating_point() else result.dtype))
    values = result.numpy()
    kept = getattr(example, "dtype", values.dtype)
    return cast(Array, values.astype(kept) if kept.kind == "f" else values)


def _from_numpy(name: str, value: Any) -> Tensor:
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(
            f"{name} must have no masked entries, got {int(np.sum(value.mask))}; fill them or drop their rows"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; convert it with .astype(float)")
    # a copy: tensors know no negative strides, no other byte order, and would warn of read-only memory
    return torch.from_numpy(np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64, order="C"))
