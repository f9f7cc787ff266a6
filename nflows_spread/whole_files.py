"""Atomic writes: files and folders that are whole or absent, written aside, synced and renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NoReturn

_ASIDE = ".unfinished"
"""How the names of files end that are not whole yet."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A stream to write to, whose content is at ``path`` when the block has ended well.

    Whatever happens, and at whichever moment, ``path`` is afterwards the old file or the new one. What is no regular
    file, such as a terminal, is written to as it is.

    Args:
        path: the file, or a link to it; its folder must exist.

    Raises:
        OSError: the file cannot be written (no space, no permission); the message says what is left.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as stream:
            yield stream
        return
    with _replacing(path, target) as aside, aside.open("w+b") as stream:
        yield stream  # of "w+b", as with "wb" NumPy writes past it and cannot say why it failed
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to write files to, which is at ``path`` when the block has ended well.

    Args:
        path: the folder, which may be there if it is empty; that in which it lies must exist.

    Raises:
        OSError: a file cannot be written; nothing is left of those that were.
    """
    target = path.resolve()
    there = target.is_dir()  # perhaps a disk of its own, which is not replaced
    aside = _aside(target / target.name if there else target)
    try:
        aside.mkdir()
        yield aside
        if there:
            for file in sorted(aside.iterdir()):
                os.replace(file, target / file.name)
            aside.rmdir()
        else:
            os.replace(aside, target)
        _sync_folder(target if there else target.parent)
    except BaseException as error:
        shutil.rmtree(aside, ignore_errors=True)
        _explain(path, error)


def link_atomically(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, atomically and without copying where the file system can.

    Raises:
        OSError: it cannot be written; the message says what is left.
    """
    with _replacing(target, target) as aside:
        aside.unlink(missing_ok=True)
        try:
            os.link(source, aside)
        except OSError:  # a file system without hard links
            shutil.copyfile(source, aside)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left behind."""
    for aside in folder.glob(f".*{_ASIDE}"):
        aside.unlink(missing_ok=True)


@contextmanager
def _replacing(path: Path, target: Path) -> Iterator[Path]:
    """Where to write what is at ``target`` when the block has ended well; errors name ``path``."""
    aside = _aside(target)
    try:
        yield aside
        os.replace(aside, target)
        aside.unlink(missing_ok=True)  # renaming a link to the same file leaves both
        _sync_folder(target.parent)
    except BaseException as error:
        with suppress(OSError):  # as of a disk that nothing can be deleted from
            aside.unlink(missing_ok=True)
        _explain(path, error)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}{_ASIDE}")


def _explain(path: Path, error: BaseException) -> NoReturn:
    """Raise what the system said behind an error, with what is left and what helps; else the error as it is.

    torch, zipfile and pandas turn a failed write into errors of other kinds.
    """
    cause: BaseException | None = error if isinstance(error, Exception) else None
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        raise error
    left = "what was there is as it was" if path.exists() else "nothing was written"
    message = f"cannot write {path}: {cause.strerror or cause}; {left}; free space or choose another folder"
    raise OSError(cause.errno, message) from error


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
