"""Memory-mapped files: whether they are still as long as when they were mapped, and memory of theirs that is let go.

Where a file was cut short, the rest of its last page reads as zeros, and what lay beyond it kills the process (SIGBUS).
So its length is asked before and after rows are read: an error comes in place of zeros, and a process dies only where
the file is cut while these rows are being read.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nflows_spread import validation


def mapped_npy(name: str, path: str | Path) -> Any:
    """The array of an ``.npy`` file, mapped and not read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no ``.npy`` file without objects, or shorter than its header says.

    Warns:
        UserWarning: it is longer than its header says.
    """
    try:
        return map_npy(path)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of whatever a header makes NumPy do
        said = str(error).replace("mmap length", "the length by its header")
        raise ValueError(f"{name} must be a whole .npy file, got {path}: {said}; save it again") from error


def map_npy(path: str | Path) -> Any:
    """The same with the errors that NumPy raises, which are of any kind."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(array, np.memmap):
        beyond = Path(path).stat().st_size - array.offset - array.nbytes
        if beyond > 0 and array.size:
            validation.warn(
                f"{path} has {beyond} bytes after the array of shape {array.shape} that its header describes, which "
                "are not read; if rows were added to the file, save it again"
            )
    return array


@contextmanager
def unshrunk(name: str, array: Any) -> Iterator[None]:
    """``ValueError`` if the file that an array is mapped from has become shorter, before the block or within it.

    Anything but an array of a memory-mapped file passes.
    """
    mapped = _map_of(array)
    if mapped is not None:
        _check(name, *mapped)
    yield
    if mapped is not None:
        _check(name, *mapped)


def let_go(array: Any) -> None:
    """Give back the memory of what was read of a mapped file, which is read again when it is needed."""
    mapped = _map_of(array)
    if mapped is not None and mapped[0].mode == "r" and hasattr(mmap, "MADV_DONTNEED"):
        mapped[1].madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> tuple[Any, mmap.mmap] | None:
    """The array of a whole map that this one is of, and the map."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            return array, array.base
        array = array.base
    return None


def _check(name: str, whole: Any, mapped: mmap.mmap) -> None:
    begin = whole.offset - whole.offset % mmap.ALLOCATIONGRANULARITY
    needed, there = begin + len(mapped), mapped.size()
    if there < needed:
        raise ValueError(
            f"{name} must be of a file that stays as long as it was when it was mapped, {needed} bytes, got "
            f"{whole.filename or 'one'} with {there}; write it again under another name, and map it then"
        )
