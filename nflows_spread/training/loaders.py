"""A ``DataLoader`` of which each process reads its own part."""

from __future__ import annotations

from typing import Any

from torch.utils.data import DataLoader, DistributedSampler, IterableDataset, RandomSampler, SequentialSampler


def for_process(loader: DataLoader[Any], rank: int, processes: int) -> DataLoader[Any]:
    """The loader as one of several processes needs it.

    One process, a ``DistributedSampler`` and an ``IterableDataset`` (which must then share its rows
    out by itself) leave the loader as it is; one that shuffles or reads in order is made again with
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
