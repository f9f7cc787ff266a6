"""Read NumPy's files, .npy by a memory map and .npz once the claims of its headers are seen to hold."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nflows_spread.cli.one_line_errors import readable
from nflows_spread.datasets.claimed_sizes import check_member
from nflows_spread.mapped_files import map_npy

_MAGIC = b"\x93NUMPY"
"""How an array in NumPy's format begins, by convention."""


def read_npy(path: Path) -> Any:
    """The array of a file, which is mapped and not read: a header that claims more than the file has is refused.

    Raises:
        ValueError: it is no array, or one of objects.
    """
    with readable(path):
        found = map_npy(path)
        if not isinstance(found, np.ndarray):
            raise ValueError("it is an archive of arrays, of which the name ends in .npz")
    return found


def read_npz(path: Path, key: str | None) -> Any:
    """An array of an archive.

    Args:
        path: of the file.
        key: which one; None where there is but one.

    Raises:
        ValueError: there is no such array, it is damaged, one of objects, or does not fit into memory.
    """
    with readable(path):
        file = np.load(path, allow_pickle=False)
        names = list(file.files)
    with file:
        if key is None and len(names) != 1:
            raise ValueError(f"--key must name one array of {path.name}, got none; it has {', '.join(names)}")
        name = names[0] if key is None else key
        if name not in names:
            raise ValueError(f"--key must be an array of {path.name}, {', '.join(names)}, got {name}")
        with readable(path):
            _check_claims(path, file.zip, name)
            return file[name]


def _check_claims(path: Path, archive: zipfile.ZipFile, name: str) -> None:
    """``ValueError`` if a file in an archive is no array whose header claims just the bytes that follow it."""
    member = archive.getinfo(name if name in archive.namelist() else f"{name}.npy")
    check_member(member, path.name)
    with archive.open(member) as stream:
        start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        raise ValueError(f"{name} in it is no array")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version > (2, 0):
            raise ValueError(f"its array {name} is of a structured type; save columns of numbers")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(stream)
        claimed, there = math.prod(shape) * dtype.itemsize, member.file_size - stream.tell()
    if not dtype.hasobject and claimed != there:
        raise ValueError(f"its array {name} must have the {claimed} bytes that its header claims, got {there}")
