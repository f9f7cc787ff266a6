"""Where batches come from: tensors, arrays, files, data sets, loaders and samplers behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from nflows_spread import validation
from nflows_spread.training.loaders import for_process
from nflows_spread.training.randomness import capture, draw_seed, generators_of, restore, seed_of_rank

Sampler = Callable[[int, torch.Generator], Tensor]
Data = Tensor | Sequence[Tensor] | np.ndarray[Any, Any] | str | Path | Dataset[Any] | DataLoader[Any] | Sampler
Batch = tuple[Tensor, ...]


class Batches(Protocol):
    """An endless stream of batches that knows its place and can return to it."""

    def next(self) -> Batch:
        """The next batch: the data, and the context if there is one, on the device of training."""

    def state_dict(self) -> dict[str, Any]:
        """The place in the stream."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Return to that place."""

    def describe(self) -> str:
        """What the data is, to be compared when a run is resumed."""


@dataclass(frozen=True)
class Share:
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


def batches_of(data: Data, share: Share, generator: torch.Generator) -> Batches:
    """The stream of batches of one process.

    Args:
        data: see ``fit``.
        share: batch size and place among the processes.
        generator: source of the order, in the same state in all processes.

    Raises:
        TypeError: ``data`` is of no kind that is known here, or not of a floating dtype.
        ValueError: the data is empty, has fewer rows than a step needs, or is not finite.
    """
    if isinstance(data, DataLoader):
        return _LoaderBatches(for_process(data, share.rank, share.processes), share)
    if isinstance(data, IterableDataset):
        return _LoaderBatches(DataLoader(data, batch_size=share.batch_size), share)
    if isinstance(data, (Tensor, np.ndarray, str, Path)) or _is_sequence_of_tensors(data):
        return _ShuffledBatches(_array_source(data, share), share, generator)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return _ShuffledBatches(_DatasetSource(cast(Dataset[Any], data)), share, generator)
    if callable(data):
        return _SampledBatches(data, share, generator)
    raise TypeError(
        "data must be a tensor, a NumPy array, the path of an .npy file, a Dataset, a DataLoader or a function "
        f"sampler(n, generator), got {type(data).__name__}"
    )


class _Source(Protocol):
    """Rows that can be taken by index."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Batch: ...

    def describe(self) -> str: ...


class _TensorSource:
    """Tensors of equal length that stay on one device; a batch is a gather and nothing else."""

    def __init__(self, tensors: Sequence[Tensor], share: Share) -> None:
        validation.points("data", tensors[0])
        if any(len(tensor) != len(tensors[0]) for tensor in tensors):
            raise ValueError(f"data and context must have as many rows, got {[len(tensor) for tensor in tensors]}")
        self._tensors = [_moved(tensor, share) for tensor in tensors]

    def __len__(self) -> int:
        return len(self._tensors[0])

    def take(self, index: Tensor) -> Batch:
        index = index.to(self._tensors[0].device)
        return tuple(tensor[index] for tensor in self._tensors)

    def describe(self) -> str:
        return f"{len(self)} rows of shape {tuple(self._tensors[0].shape[1:])}"


class _MappedSource:
    """An ``.npy`` file that is read row by row, so that it may be larger than memory."""

    def __init__(self, rows: np.memmap[Any, Any]) -> None:
        if not np.issubdtype(rows.dtype, np.floating):
            raise TypeError(f"data must be of a floating dtype, got {rows.dtype}; convert it in a Dataset")
        if rows.ndim < 2 or len(rows) == 0:
            raise ValueError(f"data must hold at least one row, (n, ...), got shape {rows.shape}")
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, index: Tensor) -> Batch:
        batch = torch.from_numpy(np.array(self._rows[index.numpy()]))
        return (_finite_rows(batch, index),)

    def describe(self) -> str:
        return f"{len(self)} rows of shape {self._rows.shape[1:]}"


class _DatasetSource:
    """A map-style data set, collated as a ``DataLoader`` does, in this process."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(cast(Any, self._dataset))

    def take(self, index: Tensor) -> Batch:
        batch = _as_batch(default_collate([self._dataset[i] for i in index.tolist()]))
        return (_finite_rows(batch[0], index), *batch[1:])

    def describe(self) -> str:
        return f"{type(self._dataset).__name__} of {len(self)} rows"


class _ShuffledBatches:
    """Epochs in random order, without the last rows that do not fill a step of all processes.

    Each epoch's order comes from a seed of its own, so that the place in the data is two numbers.
    """

    def __init__(self, source: _Source, share: Share, generator: torch.Generator) -> None:
        rows = share.batch_size * share.processes
        if len(source) == 0:
            raise ValueError("data must hold at least one row, got an empty data set")
        if rows > len(source):
            raise ValueError(
                f"batch_size must be at most the number of rows, {len(source)}"
                + (f", divided by {share.processes} processes" if share.processes > 1 else "")
                + f", got {share.batch_size}"
            )
        self._source, self._share, self._generator = source, share, generator
        self._steps = len(source) // rows
        self._start_epoch(draw_seed(generator), 0)

    def _start_epoch(self, seed: int, position: int) -> None:
        self._seed, self._position = seed, position
        self._order = torch.randperm(len(self._source), generator=torch.Generator().manual_seed(seed))

    def next(self) -> Batch:
        if self._position == self._steps:
            self._start_epoch(draw_seed(self._generator), 0)
        start = (self._position * self._share.processes + self._share.rank) * self._share.batch_size
        self._position += 1
        batch = self._source.take(self._order[start : start + self._share.batch_size])
        return tuple(_moved(part, self._share) for part in batch)

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._start_epoch(int(state["seed"]), int(state["position"]))

    def describe(self) -> str:
        return self._source.describe()


class _SampledBatches:
    """Fresh draws from a function at every step, other ones in each process; its place is its generator's state."""

    def __init__(self, sampler: Sampler, share: Share, generator: torch.Generator) -> None:
        self._sampler, self._share, self._generator = sampler, share, generator
        if share.processes > 1:
            seed = seed_of_rank(draw_seed(generator), share.rank)
            self._generator = torch.Generator(generator.device).manual_seed(seed)

    def next(self) -> Batch:
        batch = _as_batch(self._sampler(self._share.batch_size, self._generator))
        return tuple(_moved(part, self._share) for part in batch)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._generator.set_state(state["generator"])

    def describe(self) -> str:
        return f"sampler {getattr(self._sampler, '__qualname__', type(self._sampler).__qualname__)}"


class _LoaderBatches:
    """The user's own loader, epoch after epoch.

    Its place is the randomness at the start of the epoch and the number of batches since: to return
    there the epoch is started again and so many batches are passed over.
    """

    def __init__(self, loader: DataLoader[Any], share: Share) -> None:
        self._loader, self._share = loader, share
        self._generators = generators_of(loader, loader.sampler)
        self._iterator: Iterator[Any] | None = None
        self._epoch, self._position = -1, 0
        self._epoch_start: dict[str, Any] | None = None

    def _start_epoch(self) -> Iterator[Any]:
        self._epoch, self._position = self._epoch + 1, 0
        self._epoch_start = capture(self._generators)
        if callable(set_epoch := getattr(self._loader.sampler, "set_epoch", None)):
            set_epoch(self._epoch)
        self._iterator = iter(self._loader)
        return self._iterator

    def next(self) -> Batch:
        while True:
            iterator = self._iterator or self._start_epoch()
            for batch in iterator:
                self._position += 1
                parts = tuple(_moved(part, self._share) for part in _as_batch(batch))
                where = f"batch {self._position} of epoch {self._epoch + 1}"
                return (_finite_rows(parts[0], torch.arange(len(parts[0])), where), *parts[1:])
            if self._position == 0:
                raise ValueError("data must hold at least one batch, got a DataLoader that yields none")
            self._iterator = None

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self._epoch, "position": self._position, "epoch_start": self._epoch_start}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["epoch_start"] is None:
            return
        now = capture(self._generators)
        restore(state["epoch_start"], self._generators)
        self._epoch = int(state["epoch"]) - 1
        iterator = self._start_epoch()
        for _ in range(int(state["position"])):
            next(iterator)
        self._position = int(state["position"])
        restore(now, self._generators)

    def describe(self) -> str:
        return f"DataLoader over {type(self._loader.dataset).__name__} in batches of {self._loader.batch_size}"


def _array_source(data: Any, share: Share) -> _Source:
    if isinstance(data, (str, Path)):
        data = np.load(data, mmap_mode="r", allow_pickle=False)
    if isinstance(data, np.memmap):
        return _MappedSource(data)
    if isinstance(data, np.ndarray):
        data = torch.from_numpy(data)
    return _TensorSource([data] if isinstance(data, Tensor) else data, share)


def _is_sequence_of_tensors(data: object) -> bool:
    return isinstance(data, (tuple, list)) and len(data) > 0 and all(isinstance(part, Tensor) for part in data)


def _as_batch(batch: Any) -> Batch:
    parts = tuple(batch) if isinstance(batch, (tuple, list)) else (batch,)
    if not parts or not all(isinstance(part, Tensor) for part in parts):
        kinds = ", ".join(type(part).__name__ for part in parts)
        raise TypeError(f"a batch must be a tensor, or a tensor and its context, got {kinds or 'nothing'}")
    return parts


def _moved(part: Tensor, share: Share) -> Tensor:
    """On the device of training, and in its dtype if it is of a floating one."""
    return part.to(share.device, share.dtype if part.is_floating_point() else None, non_blocking=True)


def _finite_rows(batch: Tensor, index: Tensor, where: str = "a batch") -> Tensor:
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
