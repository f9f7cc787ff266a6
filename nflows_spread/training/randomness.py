"""Random state of a run: captured, restored, seeded by rank, and isolated from measurements."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

_SEED_BITS = 62
"""Of a seed that is drawn: torch draws and takes signed integers of 64 bits."""

_GOLDEN = 0x1E3779B97F4A7C15
"""Between seeds of ranks: 2⁶⁴ over the golden ratio without its highest bit; odd, so that no two ranks share one."""


def generators_of(*owners: object) -> list[torch.Generator]:
    """The generators that modules, their submodules and other objects hold as attributes, each once."""
    found: dict[int, torch.Generator] = {}
    for owner in owners:
        if isinstance(owner, torch.Generator):
            found[id(owner)] = owner
            continue
        for part in owner.modules() if isinstance(owner, nn.Module) else [owner]:
            for value in vars(part).values():
                if isinstance(value, torch.Generator):
                    found[id(value)] = value
    return list(found.values())


def capture(generators: Sequence[torch.Generator]) -> dict[str, Any]:
    """The state of the given generators and of the global ones of torch, NumPy and Python, as plain data."""
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "generators": [generator.get_state() for generator in generators],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
        "numpy": (str(name), torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached),
        "python": random.getstate(),
    }


def restore(state: Mapping[str, Any], generators: Sequence[torch.Generator]) -> None:
    """Return to what ``capture`` saw, for the same generators."""
    if len(state["generators"]) != len(generators):
        raise ValueError(
            f"the objective and the data must hold as many generators as when the checkpoint was written, "
            f"{len(state['generators'])}, got {len(generators)}"
        )
    for generator, value in zip(generators, state["generators"]):
        generator.set_state(value)
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_initialized():
        torch.cuda.set_rng_state(state["cuda"])
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))


def draw_seed(generator: torch.Generator | None = None) -> int:
    """A seed drawn from a generator, or from torch's global one."""
    device = "cpu" if generator is None else generator.device
    return int(torch.randint(2**_SEED_BITS, (), generator=generator, device=device))


def seed_of_rank(seed: int, rank: int) -> int:
    """The seed of one of several processes that share ``seed``."""
    return (seed + rank * _GOLDEN) % 2**_SEED_BITS


def separate(generators: Iterable[torch.Generator], rank: int) -> None:
    """Give this process its own noise: reseed its generators and the global ones from their state and its rank."""
    for generator in generators:
        generator.manual_seed(seed_of_rank(draw_seed(generator), rank))
    seed = seed_of_rank(draw_seed(), rank)
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Inside, torch's global generator continues from a seed drawn from this one; afterwards it is as it was before.

    For torch's layers, which draw their weights from the global generator and take no other.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw_seed(generator))
        yield


@contextmanager
def isolated_randomness(*modules: nn.Module, seed: int = 0) -> Iterator[None]:
    """Randomness from a fixed seed inside, and afterwards all generators, those of modules too, as they were before.

    For measurements during training, which must neither be noisy nor change what comes next.
    """
    generators = generators_of(*modules)
    before = capture(generators)
    for generator in generators:
        generator.manual_seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        restore(before, generators)
