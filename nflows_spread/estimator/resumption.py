"""Resume an interrupted ``fit`` of the estimator: checkpoints of its training, in a folder by data and settings."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from nflows_spread.training import Checkpoints
from nflows_spread.whole_files import whole_file

_CHECKS = "checks.json"
"""The file of what checks of the dimension have found."""

_EVERY = 250
"""Steps between checkpoints, for processes that are killed: a choice, every few seconds."""

_DIGITS = 16
"""Digits of the name of a folder, of 16 kinds each: a choice, by which no two fits share one."""


_DONE: ContextVar[list[Path] | None] = ContextVar("_DONE", default=None)
"""The folders of fits that are done, where they are to stay for now."""


@dataclass(frozen=True)
class Resumption:
    """Where one fit leaves its checkpoints.

    Attributes:
        folder: of this fit alone.
    """

    folder: Path

    @classmethod
    def of(cls, folder: Path, x: Tensor, *settings: Any) -> Resumption:
        """That of a fit, in a folder that others may share.

        Args:
            folder: made if need be.
            x: the data.
            settings: all that decides what the fit becomes.
        """
        try:
            release = version("nflows-spread")
        except PackageNotFoundError:
            release = "unknown"
        digest = hashlib.sha256(repr((release, tuple(x.shape), x.dtype, settings)).encode())
        digest.update(x.contiguous().numpy().tobytes())
        return cls(folder / f"fit-{digest.hexdigest()[:_DIGITS]}")

    def checkpoints(self, part: str) -> Checkpoints:
        """Those of a part of the training, by its name."""
        return Checkpoints(self.folder / part, every=_EVERY, keep=1)

    def steps_done(self, part: str) -> int:
        """The steps of a part that are done."""
        paths = self.checkpoints(part).paths()
        return int(paths[-1].stem.partition("-")[2]) if paths else 0

    def write_checks(self, dimensions: Sequence[int | None], ambient_noise: float, *, ended: int | None = None) -> None:
        """Keep what checks of the dimension have found, and at which step they ended the annealing, if they did."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with whole_file(self.folder / _CHECKS) as stream:
            found = {"dimensions": list(dimensions), "noise": ambient_noise, "ended": ended}
            stream.write(json.dumps(found).encode())

    def read_checks(self) -> tuple[list[int | None], float, int | None]:
        """The dimensions, the noise of the last of these checks, and the step of the end, or None.

        Raises:
            ValueError: their file is damaged.
        """
        path = self.folder / _CHECKS
        if not path.exists():
            return [], 0.0, None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return found["dimensions"], found["noise"], found["ended"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); delete {self.folder}, and the fit starts anew") from error

    def remove(self) -> None:
        """The fit is done; see ``kept_until_the_end``."""
        done = _DONE.get()
        if done is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            done.append(self.folder)


@contextmanager
def kept_until_the_end() -> Iterator[None]:
    """Inside, checkpoints of fits that are done stay until the block ends without an error.

    So a fit whose result cannot be written, as on a full disk, is not lost.
    """
    folders: list[Path] = []
    before = _DONE.set(folders)
    try:
        yield
    finally:
        _DONE.reset(before)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
