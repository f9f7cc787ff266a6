"""Archives of tensors and plain values: written whole or not at all, read without running code from them."""

from __future__ import annotations

import errno
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nflows_spread.whole_files import whole_file

_ARCHIVE = b"PK\x03\x04"
"""First bytes of a zip archive, which torch writes; a plain pickle has others."""

_FOLDER = 0x10
"""The bit of a zip archive's attributes by which a part is a folder, a convention of MS-DOS. torch reads nothing of one
and leaves in its tensor what lies in memory; no checksum covers the bit, and torch sets it nowhere."""


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
    with whole_file(path) as stream:
        torch.save({"kind": kind, "version": version, "content": dict(content)}, stream)


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
        _checked(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} must hold tensors and plain values alone, got other objects, which could run code; it was refused"
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # whatever readers of files raise that are not whole
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which is a place that no file has
            raise
        raise ValueError(f"{path} is damaged or of another program: {error}; take a copy, or make it again") from error
    if not isinstance(stored, dict) or stored.get("kind") != kind:
        found = stored.get("kind", "a file of another program") if isinstance(stored, dict) else type(stored).__name__
        raise ValueError(f"{path} must be a {kind} of nflows_spread, got {found}")
    if not isinstance(stored.get("version"), int) or not isinstance(stored.get("content"), dict):
        raise ValueError(f"{path} must be a {kind} of nflows_spread, got one without a version or content")
    if stored["version"] > version:
        raise ValueError(
            f"{path} must be of format version {version} or older, got {stored['version']}; update nflows-spread"
        )
    content: dict[str, Any] = stored["content"]
    return content


def _checked(path: Path) -> None:
    """``ValueError`` if a checksum is wrong, which torch does not look at, or if torch would read it otherwise."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of its part {damaged!r} is wrong")
        for part in archive.infolist():
            if part.compress_type != zipfile.ZIP_STORED or part.external_attr & _FOLDER:
                raise ValueError(f"its table of contents is wrong about {part.filename!r}")
