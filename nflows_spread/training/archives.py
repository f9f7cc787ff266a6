"""Files that are whole or absent: written aside, synced and renamed; read without running code from them."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

_ARCHIVE = b"PK\x03\x04"
"""First bytes of a zip archive, which torch writes; a plain pickle has others."""

_ASIDE = ".unfinished"
"""How the names of files end that are not whole yet."""


def write_archive(path: Path, kind: str, version: int, content: Mapping[str, Any]) -> None:
    """Write tensors and plain values to one file, atomically.

    Whatever happens, and at whichever moment, ``path`` is afterwards the old file or the new one.

    Args:
        path: the file; its folder must exist.
        kind: what the file is, checked when it is read.
        version: of the format.
        content: tensors, numbers, texts, and lists, tuples and dictionaries of them.

    Raises:
        OSError: the file cannot be written (no space, no permission); the message says what is left.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}{_ASIDE}")
    try:
        with aside.open("wb") as stream:
            torch.save({"kind": kind, "version": version, "content": dict(content)}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(aside, path)
        _sync_folder(path.parent)
    except (OSError, RuntimeError) as error:  # torch turns a failed write into a RuntimeError
        aside.unlink(missing_ok=True)
        cause = error if isinstance(error, OSError) else _os_error_behind(error)
        if cause is None:
            raise
        left = "the file that was there is as it was" if path.exists() else "nothing was written"
        message = f"cannot write {path}: {cause.strerror or cause}; {left}; free space or choose another folder"
        raise OSError(cause.errno, message) from error
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def link_atomically(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source``, atomically and without copying where the file system can."""
    aside = target.with_name(f".{target.name}.{os.getpid()}{_ASIDE}")
    aside.unlink(missing_ok=True)
    try:
        os.link(source, aside)
    except OSError:  # a file system without hard links
        aside.write_bytes(source.read_bytes())
    os.replace(aside, target)
    aside.unlink(missing_ok=True)  # renaming a link to the same file leaves both
    _sync_folder(target.parent)


def read_archive(path: str | Path, kind: str, version: int) -> dict[str, Any]:
    """Read what ``write_archive`` wrote, on the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no archive (a plain pickle is none), damaged, of another kind or a
            newer version, or holds objects other than tensors and plain values. No code of it runs.
    """
    path = Path(path)
    with path.open("rb") as stream:
        start = stream.read(len(_ARCHIVE))
    if start != _ARCHIVE:
        raise ValueError(f"{path} must be a {kind} of nflows_spread, got a file that is no archive (a pickle, perhaps)")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"{path} is damaged: the checksum of its part {damaged!r} is wrong")
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} must hold tensors and plain values alone, got other objects, which could run code; it was refused"
        ) from error
    if not isinstance(stored, dict) or stored.get("kind") != kind:
        found = stored.get("kind", "a file of another program") if isinstance(stored, dict) else type(stored).__name__
        raise ValueError(f"{path} must be a {kind} of nflows_spread, got {found}")
    if stored["version"] > version:
        raise ValueError(
            f"{path} must be of format version {version} or older, got {stored['version']}; update nflows-spread"
        )
    content: dict[str, Any] = stored["content"]
    return content


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left behind."""
    for aside in folder.glob(f".*{_ASIDE}"):
        aside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a loss of power, where the system lets a folder be synced."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _os_error_behind(error: BaseException) -> OSError | None:
    cause = error.__cause__ or error.__context__
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return cause
