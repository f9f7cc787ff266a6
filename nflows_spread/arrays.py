"""Array conversion: NumPy arrays, data frames and tensors in, tensors within, results out in the kind that came in."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.mapped_files import unshrunk

Array = TypeVar("Array", bound=Any)
"""A NumPy array or a tensor: what comes in decides what goes out."""

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_REAL = "buif"

_NAMED = 5
"""Names of columns in a list of a message, at most, as scikit-learn has it."""


class ComplexDataError(TypeError, ValueError):
    """Entries that are complex: a ``TypeError``, and a ``ValueError`` as scikit-learn raises it."""


def rows_of(name: str, value: Any) -> Tensor:
    """A matrix of finite real numbers, one row a point, as a float32 or float64 tensor (n, D) on the CPU.

    Args:
        name: of the argument, for messages.
        value: a tensor, a NumPy array of any layout and byte order, a data frame whose columns hold numbers or truth
            values, of nullable dtypes too, or what ``numpy.asarray`` takes.

    Raises:
        TypeError: the entries are no real numbers, some are masked, or the matrix is sparse.
        ValueError: another shape, no rows, or entries that are not finite.
    """
    if isinstance(value, Tensor):
        if value.is_complex():
            raise ComplexDataError(_told_of_complex(name, value.dtype))
        if value.layout != torch.strided:
            raise TypeError(f"{name} must be dense, got a tensor of layout {value.layout}; pass {name}.to_dense()")
        rows = value.detach().cpu()
        rows = rows if rows.dtype == torch.float32 else rows.double()
    else:
        rows = _from_numpy(name, value)
    if rows.dim() != 2:
        remedy = f"{name}.reshape(1, -1) is one row, {name}.reshape(-1, 1) one column"
        remedy = f"{name}.reshape(len({name}), -1) has a row of each entry" if rows.dim() > 2 else remedy
        raise ValueError(
            f"{name} must be a matrix, one row a point, got shape {tuple(rows.shape)}. Reshape your data: {remedy}"
        )
    return validation.points(name, rows, labels=labels_of(value))


def on_cpu_by_default(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The function with new tensors on the CPU, wherever ``torch.set_default_device`` puts those of the caller."""

    @wraps(function)
    def calls(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with torch.device("cpu"):
            return function(*args, **kwargs)

    return calls


def points_of(name: str, value: Any) -> Tensor:
    """Points as a tensor: one as it is, of any device and shape; all else is a matrix as ``rows_of`` has it.

    Of a NumPy array of more axes the first counts the points.
    """
    if isinstance(value, Tensor):
        return value
    several = isinstance(value, np.ndarray) and value.ndim > 2 and len(value) > 0
    return rows_of(name, value.reshape(len(value), -1) if several else value)


def like(example: Array, result: Tensor) -> Array:
    """The result as a tensor, or as a NumPy array, in the floating dtype of the example."""
    if isinstance(example, Tensor):
        return cast(Array, result.to(example.dtype if example.is_floating_point() else result.dtype))
    values = result.numpy()
    kept = getattr(example, "dtype", None)  # of a data frame a column, where one has this name
    return cast(Array, values.astype(kept) if isinstance(kept, np.dtype) and kept.kind == "f" else values)


def example_of(value: Any) -> Any:
    """What tells ``like`` the kind and the dtype of an array and holds none of its rows."""
    if isinstance(value, Tensor):
        return value[:0].detach()
    kept = getattr(value, "dtype", None)
    return np.empty(0, dtype=kept if isinstance(kept, np.dtype) and kept.kind == "f" else np.float64)


def labels_of(value: Any) -> list[Any] | None:
    """The labels of a data frame's columns, or None where it is none."""
    return list(value.columns) if is_frame(value) else None


def same_labels(name: str, labels: list[Any] | None, fitted: list[Any] | None) -> None:
    """``ValueError`` if a data frame's columns are not those of the data frame of the fit, in their order.

    An array has no labels and is compared with neither.
    """
    if labels is None or fitted is None or labels == fitted:
        return
    missing = [label for label in fitted if label not in labels]
    if missing:
        others = [label for label in labels if label not in fitted]
        got = f"no {_quoted(missing)}" + (f", but {_quoted(others)}" if others else "")
        remedy = f"give the columns these names, or pass {name}.to_numpy() if they are in this order"
        if len(labels) < len(fitted):
            remedy = "pass all columns of fit"
    else:
        named = all(isinstance(label, str) for label in fitted)
        got = _quoted(labels)
        remedy = f"pass {name}[list(estimator.feature_names_in_)]" if named else "pass these columns in this order"
    ours = f"{name} must have the columns of fit in their order, {_quoted(fitted)}, got {got}; {remedy}"
    raise ValueError(f"{_as_scikit_learn_says(labels, fitted)}{ours}")


def _as_scikit_learn_says(labels: list[Any], fitted: list[Any]) -> str:
    """Its sentences about names of columns that are not those of the fit, a line each."""
    found = "The feature names should match those that were passed during fit.\n"
    unseen, missing = (
        sorted(str(label) for label in some if label not in others)
        for some, others in ((labels, fitted), (fitted, labels))
    )
    for said, names in (("unseen at fit time", unseen), ("seen at fit time, yet now missing", missing)):
        if names:
            listed = [f"- {label}\n" for label in names[:_NAMED]] + ["- ...\n"] * (len(names) > _NAMED)
            found += f"Feature names {said}:\n{''.join(listed)}"
    return found if unseen or missing else f"{found}Feature names must be in the same order as they were in fit.\n"


def is_frame(value: object) -> bool:
    """Whether it has labelled columns, each of a dtype of its own, as pandas and polars have them."""
    return all(hasattr(value, attribute) for attribute in ("to_numpy", "columns", "dtypes"))


def check_unmasked(name: str, value: object) -> None:
    """``TypeError`` if entries of a NumPy array are masked."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise TypeError(
            f"{name} must have no masked entries, got {int(np.sum(value.mask))}; fill them or drop their rows"
        )


def _from_numpy(name: str, value: Any) -> Tensor:
    check_unmasked(name, value)
    if hasattr(value, "nnz") and not isinstance(value, np.ndarray):
        dense = "toarray" if hasattr(value, "toarray") else "todense"
        square = value.ndim == 2 and value.shape[0] == value.shape[1]
        graph = f"; a graph of neighbours is no data: pass it as dimension_of(distances={name})" if square else ""
        raise TypeError(
            f"{name} must be dense, got a sparse {type(value).__name__} of shape {tuple(value.shape)}; pass "
            f"{name}.{dense}(), or where that is too large sklearn.decomposition.TruncatedSVD(k).fit_transform({name})"
            f"{graph}"
        )
    array = _of_frame(name, value) if is_frame(value) else _of_others(name, value)
    if array.dtype.kind == "O" and array.ndim > 0:
        array = _of_objects(name, array)
    if array.dtype.kind == "c":
        raise ComplexDataError(_told_of_complex(name, f"dtype {array.dtype}"))
    if array.dtype.kind not in _REAL:
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}; {_remedy_for(array.dtype)}")
    # a copy: tensors know no negative strides, no other byte order, and would warn of read-only memory
    with unshrunk(name, array):
        copied = np.array(array, dtype=np.float32 if array.dtype == np.float32 else np.float64, order="C")
    return torch.from_numpy(copied)


def _told_of_complex(name: str, dtype: object) -> str:
    return (
        f"Complex data not supported: {name} must hold real numbers, got {dtype}; pass .real, or both parts as features"
    )


def _of_objects(name: str, array: Any, column: str = "") -> Any:
    """Numbers that an array of objects holds, (…), float64, NaN where one is missing.

    Raises:
        TypeError: an entry is no number; text that spells one is text.
    """
    found = np.empty(array.size)
    for place, entry in enumerate(array.flat):
        try:
            found[place] = number_of(entry)
        except (TypeError, ValueError) as error:
            index = np.unravel_index(place, array.shape)
            where = f"row {index[0]}{f' of column {column}' if column else ''}"
            said = "" if isinstance(entry, (str, bytes)) else f" ({error})"  # by which scikit-learn's checks know it
            raise TypeError(
                f"{name} must hold real numbers, got dtype object, with {entry!r:.40} of type {type(entry).__name__} "
                f"in {where}{said}; {_remedy_for(array.dtype)}"
            ) from error
    return found.reshape(array.shape)


def number_of(entry: Any) -> float:
    """An entry of an array of objects as a float, NaN for one that is missing.

    Raises:
        TypeError, ValueError: it is no real number.
    """
    if entry is None or type(entry).__name__ == "NAType":  # pandas' own
        return math.nan
    if isinstance(entry, (str, bytes)):
        raise TypeError(f"{entry!r} is text")
    return float(entry)


def _of_others(name: str, value: Any) -> Any:
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a matrix, one row a point, got rows of several lengths: {error}") from error


def _of_frame(name: str, frame: Any) -> Any:
    """The entries of a data frame, (n, D); those that are missing are NaN."""
    if any(not hasattr(dtype, "kind") for dtype in frame.dtypes):  # dtypes that are not NumPy's or pandas', as polars'
        columns = [np.asarray(frame[label]) for label in frame.columns]
        dtypes = [column.dtype for column in columns]
    else:
        columns, dtypes = [], list(frame.dtypes)
    refused = [(label, dtype) for label, dtype in zip(frame.columns, dtypes) if not _may_hold_numbers(dtype)]
    if refused:
        dtype, found = refused[0][1], _quoted([label for label, _ in refused])
        raise TypeError(f"{name} must hold real numbers, got dtype {dtype} in {found}; {_remedy_for(dtype)}")
    if any(dtype.kind == "O" for dtype in dtypes):
        parts = columns or [frame.iloc[:, place].to_numpy(dtype=object) for place in range(len(dtypes))]
        return np.stack([_of_objects(name, part, repr(label)) for label, part in zip(frame.columns, parts)], axis=1)
    if columns:
        return np.stack(columns, axis=1)
    if all(dtype == np.float32 for dtype in dtypes):
        return np.asarray(frame)
    return frame.to_numpy(dtype=np.float64, na_value=np.nan)


def _may_hold_numbers(dtype: Any) -> bool:
    """Whether a column's dtype is one of numbers, or of objects that may be some; categories are none."""
    return dtype.kind in _REAL or (dtype.kind == "O" and str(dtype) != "category")


def _remedy_for(dtype: Any) -> str:
    """How entries of a dtype that holds no real numbers become some."""
    if dtype.kind == "c":
        return "pass .real, or both parts as features"
    if dtype.kind in "mM":
        return "take the time since some moment as a float, such as (t - t.min()) / numpy.timedelta64(1, 's')"
    if dtype.kind == "V":
        return "unpack it with numpy.lib.recfunctions.structured_to_unstructured"
    return "convert numbers with .astype(float), and encode categories, with pandas.get_dummies for example"


def _quoted(labels: list[Any]) -> str:
    return validation.listed([repr(label) for label in labels])
