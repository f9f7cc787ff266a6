"""Models that an experiment needs trained, a data source or a feature extractor: trained once, then read."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from filelock import FileLock
from torch import Tensor, nn

from nflows_spread.training import Checkpoints, fit
from nflows_spread.training.archives import read_archive, write_archive

_KIND = "benchmark model"
_VERSION = 1

Model = TypeVar("Model", bound=nn.Module)


def trained_once(
    name: str,
    build: Callable[[], Model],
    data: tuple[Tensor, ...],
    *,
    folder: Path,
    settings: Mapping[str, object],
    seed: int,
    steps: int,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
) -> Model:
    """A trained model, from its file in the folder if there is one, else trained now and written there.

    The file's name holds a digest of all that decides the result, the data among it, so that other settings
    never meet this file. An interrupted training goes on from its last checkpoint.

    Args:
        name: begins the file's name.
        build: makes the model, an objective of ``fit``; its weights are drawn from ``seed``.
        data: rows to train on, and their classes or other context if the objective takes one.
        folder: where the file is or goes; made if need be.
        settings: what else decides the result, plain values.
        seed: of the weights and of the order of the data.
        steps: of training.
        batch_size: rows of a batch.
        learning_rate: of Adam.

    Returns:
        The model in evaluation mode, on the CPU.

    Raises:
        ValueError: the file is there and damaged.
        OSError: the folder cannot be written to.
    """
    schedule = {"seed": seed, "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    key = _digest({"name": name, **settings, **schedule}, data)
    path = folder / f"{name}-{key}.pt"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build()
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # of two runs at once one trains, and the other waits
            if not path.exists():
                print(f"training {name}, once: {steps} steps", file=sys.stderr, flush=True)
                checkpoints = Checkpoints(path.with_suffix(""), every=2000, keep=1)
                fit(
                    model,
                    data if len(data) > 1 else data[0],
                    steps=steps,
                    batch_size=batch_size,
                    learning_rate=learning_rate,
                    generator=torch.Generator().manual_seed(seed),
                    checkpoints=checkpoints,
                    resume=True,
                    processes=1,
                )
                write_archive(path, _KIND, _VERSION, {"parameters": model.state_dict()})
                shutil.rmtree(checkpoints.folder)
    model.load_state_dict(read_archive(path, _KIND, _VERSION)["parameters"])
    return model.eval()


def _digest(settings: Mapping[str, object], data: tuple[Tensor, ...]) -> str:
    found = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for part in data:
        found.update(str(tuple(part.shape)).encode())
        found.update(part.contiguous().numpy())
    return found.hexdigest()[:12]
