"""Where batches come from: rows in random order, the user's loader, or a sampler, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, SequentialSampler

from nflows_spread.training.randomness import capture, draw_seed, generators_of, restore, seed_of_rank
from nflows_spread.training.sources import Batch, Rows, Shard, Source, as_batch, finite_rows, moved, source_of

Sampler = Callable[[int, torch.Generator], Tensor]
Data = Rows | DataLoader[Any] | Sampler


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


def batches_of(data: Data, shard: Shard, generator: torch.Generator) -> Batches:
    """The stream of batches of one process.

    Args:
        data: see ``fit``.
        shard: batch size and place among the processes.
        generator: source of the order, in the same state in all processes.

    Raises:
        TypeError: ``data`` is of no kind that is known here, or not of a floating dtype.
        ValueError: the data is empty, has fewer rows than a step needs, or is not finite.
    """
    if isinstance(data, DataLoader):
        return _LoaderBatches(for_process(data, shard.rank, shard.processes), shard)
    if isinstance(data, IterableDataset):
        return _LoaderBatches(DataLoader(data, batch_size=shard.batch_size), shard)
    source = source_of(data, shard)
    if source is not None:
        return _ShuffledBatches(source, shard, generator)
    if callable(data):
        return _SampledBatches(data, shard, generator)
    raise TypeError(
        "data must be a tensor, a NumPy array, a data frame, a list of rows, a pair of one of these and its context, "
        "the path of an .npy file, a Dataset, a DataLoader or a function sampler(n, generator), "
        f"got {type(data).__name__}"
    )


class _ShuffledBatches:
    """Epochs in random order, without the last rows that do not fill a step of all processes.

    Each epoch's order comes from a seed of its own, so that the place in the data is two numbers.
    """

    def __init__(self, source: Source, shard: Shard, generator: torch.Generator) -> None:
        rows = shard.batch_size * shard.processes
        if len(source) == 0:
            raise ValueError("data must hold at least one row, got an empty data set")
        if rows > len(source):
            raise ValueError(
                f"batch_size must be at most the number of rows, {len(source)}"
                + (f", divided by {shard.processes} processes" if shard.processes > 1 else "")
                + f", got {shard.batch_size}"
            )
        self._source, self._shard, self._generator = source, shard, generator
        self._steps = len(source) // rows
        self._start_epoch(draw_seed(generator), 0)

    def _start_epoch(self, seed: int, position: int) -> None:
        self._seed, self._position = seed, position
        order = torch.randperm(len(self._source), generator=torch.Generator().manual_seed(seed))
        self._order = order.to(self._source.device)

    def next(self) -> Batch:
        if self._position == self._steps:
            self._start_epoch(draw_seed(self._generator), 0)
        start = (self._position * self._shard.processes + self._shard.rank) * self._shard.batch_size
        self._position += 1
        batch = self._source.take(self._order[start : start + self._shard.batch_size])
        return tuple(moved(part, self._shard) for part in batch)

    def state_dict(self) -> dict[str, Any]:
        return {"seed": self._seed, "position": self._position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._start_epoch(int(state["seed"]), int(state["position"]))

    def describe(self) -> str:
        return self._source.describe()


class _SampledBatches:
    """Fresh draws from a function at every step, other ones in each process; its place is its generator's state."""

    def __init__(self, sampler: Sampler, shard: Shard, generator: torch.Generator) -> None:
        self._sampler, self._shard, self._generator = sampler, shard, generator
        if shard.processes > 1:
            seed = seed_of_rank(draw_seed(generator), shard.rank)
            self._generator = torch.Generator(generator.device).manual_seed(seed)

    def next(self) -> Batch:
        batch = as_batch(self._sampler(self._shard.batch_size, self._generator))
        return tuple(moved(part, self._shard) for part in batch)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._generator.set_state(state["generator"])

    def describe(self) -> str:
        return f"sampler {getattr(self._sampler, '__qualname__', type(self._sampler).__qualname__)}"


class _LoaderBatches:
    """The user's own loader, epoch after epoch.

    Its place is the randomness at the start of the epoch and the number of batches since: to return
    there the epoch is started again and so many batches are passed over. The global generators are
    left wherever that leads: whoever continues a run sets them after its place in the data.
    """

    def __init__(self, loader: DataLoader[Any], shard: Shard) -> None:
        self._loader, self._shard = loader, shard
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
            iterator = self._start_epoch() if self._iterator is None else self._iterator
            for batch in iterator:
                self._position += 1
                parts = tuple(moved(part, self._shard) for part in as_batch(batch))
                where = f"batch {self._position} of epoch {self._epoch + 1}"
                return (finite_rows(parts[0], torch.arange(len(parts[0])), where), *parts[1:])
            if self._position == 0:
                raise ValueError("data must hold at least one batch, got a DataLoader that yields none")
            self._iterator = None

    def state_dict(self) -> dict[str, Any]:
        generators = [generator.get_state() for generator in self._generators]
        place = {"epoch": self._epoch, "position": self._position}
        return {**place, "epoch_start": self._epoch_start, "generators": generators}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["epoch_start"] is None:
            return
        restore(state["epoch_start"], self._generators)
        self._epoch = int(state["epoch"]) - 1
        iterator = self._start_epoch()
        for _ in range(int(state["position"])):
            next(iterator)
        self._position = int(state["position"])
        for generator, value in zip(self._generators, state["generators"]):
            generator.set_state(value)

    def describe(self) -> str:
        return f"DataLoader over {type(self._loader.dataset).__name__} in batches of {self._loader.batch_size}"


def for_process(loader: DataLoader[Any], rank: int, processes: int) -> DataLoader[Any]:
    """The user's loader as one of several processes needs it, which reads its own part.

    One process, a ``DistributedSampler`` and an ``IterableDataset`` (which must then divide its rows
    up by itself) leave the loader as it is; one that shuffles or reads in order is made again with
    a ``DistributedSampler``.

    Raises:
        TypeError: the loader has a sampler of another kind.
    """
    if processes == 1 or isinstance(loader.sampler, DistributedSampler) or isinstance(loader.dataset, IterableDataset):
        return loader
    if not isinstance(loader.sampler, RandomSampler | SequentialSampler) or loader.batch_size is None:
        raise TypeError(
            f"with several processes a DataLoader must shuffle, read in order or have a DistributedSampler, "
            f"got a {type(loader.sampler).__name__}; give it a DistributedSampler"
        )
    shuffle = isinstance(loader.sampler, RandomSampler)
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=DistributedSampler(loader.dataset, processes, rank, shuffle=shuffle, drop_last=True),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        drop_last=True,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        multiprocessing_context=loader.multiprocessing_context,
        generator=loader.generator,
        prefetch_factor=loader.prefetch_factor,
        persistent_workers=loader.persistent_workers,
    )
