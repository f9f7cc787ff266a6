"""Rows that batches are taken from: tensors, arrays, mapped files and data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from nflows_spread import validation
from nflows_spread.mapped_files import mapped_npy, unshrunk
from nflows_spread.training.tables import as_tensors

Table = Tensor | np.ndarray[Any, Any] | Sequence[Any]
"""One table of rows, or the data and its context; data frames, which the types do not know, are one too."""

Rows = Table | str | Path | Dataset[Any]
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Shard:
    """The part of the work that falls to one process.

    Attributes:
        batch_size: rows of one batch of one process.
        rank: number of this process among ``processes``.
        processes: how many there are.
        device: where its batches go.
        dtype: the dtype that floating-point data is brought to.
    """

    batch_size: int
    rank: int
    processes: int
    device: torch.device
    dtype: torch.dtype


def source_of(data: object, shard: Shard) -> Source | None:
    """The rows of what ``as_tensors`` takes, of an ``.npy`` file or of a map-style data set; None for anything else.

    Raises:
        TypeError: the data is not of a floating dtype.
        ValueError: it is empty or not finite. Files and data sets are checked batch by batch.
    """
    if isinstance(data, (str, Path)):
        data = mapped_npy("data", data)
    if isinstance(data, np.memmap):
        return _MappedFile(data)
    tensors = as_tensors("data", data)
    if tensors is not None:
        return _Tensors(tensors, shard)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, Mapping):
        return _Dataset(cast(Dataset[Any], data))
    return None


class Source(Protocol):
    """Rows that can be taken by index, a tensor on ``device``."""

    device: torch.device

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Batch: ...

    def describe(self) -> str: ...


class _Tensors:
    """Tensors of equal length that stay on one device; a batch is a gather and nothing else."""

    def __init__(self, tensors: Sequence[Tensor], shard: Shard) -> None:
        validation.points("data", tensors[0])
        if any(len(tensor) != len(tensors[0]) for tensor in tensors):
            raise ValueError(f"data and context must have as many rows, got {[len(tensor) for tensor in tensors]}")
        self._tensors = [moved(tensor, shard) for tensor in tensors]
        self.device = shard.device

    def __len__(self) -> int:
        return len(self._tensors[0])

    def take(self, index: Tensor) -> Batch:
        return tuple(tensor[index] for tensor in self._tensors)

    def describe(self) -> str:
        return f"{len(self)} rows of shape {tuple(self._tensors[0].shape[1:])}"


class _MappedFile:
    """An ``.npy`` file that is read row by row, so that it may be larger than memory."""

    def __init__(self, rows: np.memmap[Any, Any]) -> None:
        if not np.issubdtype(rows.dtype, np.floating):
            raise TypeError(f"data must be of a floating dtype, got {rows.dtype}; convert it in a Dataset")
        if rows.ndim < 2 or len(rows) == 0:
            raise ValueError(f"data must hold at least one row, (n, ...), got shape {rows.shape}")
        self._rows, self.device = rows, torch.device("cpu")

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, index: Tensor) -> Batch:
        with unshrunk("data", self._rows):
            batch = torch.from_numpy(np.array(self._rows[index.numpy()]))
        return (finite_rows(batch, index),)

    def describe(self) -> str:
        return f"{len(self)} rows of shape {self._rows.shape[1:]}"


class _Dataset:
    """A map-style data set, collated as a ``DataLoader`` does, in this process."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset, self.device = dataset, torch.device("cpu")

    def __len__(self) -> int:
        return len(cast(Any, self._dataset))

    def take(self, index: Tensor) -> Batch:
        batch = as_batch(default_collate([self._dataset[i] for i in index.tolist()]))
        return (finite_rows(batch[0], index), *batch[1:])

    def describe(self) -> str:
        return f"{type(self._dataset).__name__} of {len(self)} rows"


def as_batch(batch: Any) -> Batch:
    """What a loader or sampler gave, as a tuple of tensors; ``TypeError`` if it is none."""
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(f"a batch must be a tensor, or a tensor and its context, got {kinds or 'nothing'}")
    return parts


def moved(part: Tensor, shard: Shard) -> Tensor:
    """On the device of training, and in its dtype if it is of a floating one."""
    return part.to(shard.device, shard.dtype if part.is_floating_point() else None, non_blocking=True)


def finite_rows(batch: Tensor, index: Tensor, where: str = "a batch") -> Tensor:
    """The batch, unless there is NaN or infinity in it; ``index`` are the places of its rows in the data."""
    if not batch.is_floating_point():
        raise TypeError(f"data must be of a floating dtype, got {batch.dtype}; convert it in the Dataset")
    if not bool(torch.isfinite(batch).all()):
        bad = ~torch.isfinite(batch).flatten(1).all(1)
        raise ValueError(
            f"data must be finite, got NaN or infinity in {int(bad.sum())} of {len(batch)} rows of {where}, "
            f"the first at index {int(index[int(bad.nonzero()[0])])}; drop or repair these rows"
        )
    return batch
