"""Read arrays of numbers of MATLAB's .mat files of version 5; sizes that are claimed must be there.

``scipy.io.loadmat`` 1.17 takes the type of an entry for its place in a table, whatever it is, and ends the process
where that is damaged. Of the format (https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf) this knows what
sets of images are made of: arrays of real numbers, compressed or not.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from nflows_spread.datasets.claimed_sizes import DEFLATE_RATIO, check_fits

_HEADER, _VERSION, _ORDERS = 128, 0x0100, {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
_INT8, _INT32, _UINT32 = 1, 5, 6
_COMPLEX, _NUMBERS = 0x0800, range(6, 16)
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Numbers of the format: of entries, of flags and classes of arrays, and what each type of entry is in NumPy."""


def read_mat(path: Path, names: Collection[str]) -> dict[str, Any]:
    """Arrays of a file by their names; those that are not in it are missing.

    Raises:
        ValueError: the file is none of version 5, damaged, or one of these is no array of real numbers.
    """
    if path.stat().st_size <= _HEADER:
        raise ValueError(f"it must have more than {_HEADER} bytes, got {path.stat().st_size}")
    content = np.memmap(path, np.uint8, "r").data
    order = _ORDERS.get(bytes(content[126:128]))
    if order is None or struct.unpack(f"{order}H", content[124:126])[0] != _VERSION:
        raise ValueError("it must be of version 5 (save -v6 or -v7), got another version or no such file")
    found: dict[str, Any] = {}
    for kind, entry in _elements(content[_HEADER:], order):
        kind, entry = _unpacked(entry, order) if kind == _COMPRESSED else (kind, entry)
        if kind == _MATRIX:
            name, array = _array(entry, order, names)
            if array is not None:
                found.setdefault(name, array)
        if len(found) == len(names):
            break
    return found


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and the bytes of each element that content is made of."""
    place = 0
    while place < len(content):
        if len(content) - place < 8:
            raise ValueError(f"an element must begin with 8 bytes, got {len(content) - place} at the end")
        kind, size = struct.unpack(f"{order}2I", content[place : place + 8])
        start, end = place + 8, place + 8 + size
        place = end if kind == _COMPRESSED else end + -size % 8
        if kind >> 16:  # a small one, within the 8 bytes
            kind, size = kind & 0xFFFF, kind >> 16
            start, end, place = start - 4, start - 4 + size, start
        if end > len(content) or (end > place and size < 8):
            raise ValueError(f"an element must have the {size} bytes that it claims, got {len(content) - start}")
        yield kind, content[start:end]


def _unpacked(packed: memoryview, order: str) -> tuple[int, memoryview]:
    """The type and the bytes of the element that is compressed in some bytes."""
    unpacker = zlib.decompressobj()
    try:
        tag = unpacker.decompress(packed, 8)
        if len(tag) < 8:
            raise ValueError(f"a compressed element must begin with 8 bytes, got {len(tag)}")
        kind, size = struct.unpack(f"{order}2I", tag)
        if size > DEFLATE_RATIO * len(packed):
            raise ValueError(f"an element of {len(packed)} compressed bytes cannot have the {size} that it claims")
        check_fits("a compressed element", size)
        entry = unpacker.decompress(unpacker.unconsumed_tail, size) if size else b""
        rest = unpacker.decompress(unpacker.unconsumed_tail, 8)  # the checksum is read with it
    except zlib.error as error:
        raise ValueError(f"a compressed element is damaged: {error}") from error
    if len(entry) != size or rest or not unpacker.eof:
        raise ValueError(f"a compressed element must have the {size} bytes that it claims, got {len(entry)} or more")
    return kind, memoryview(entry)


def _array(entry: memoryview, order: str, names: Collection[str]) -> tuple[str, Any]:
    """The name and the entries of an array, or None in their place where its name is none of these."""
    parts = _elements(entry, order)

    def part(kinds: Collection[int], what: str) -> tuple[int, memoryview]:
        kind, found = next(parts, (-1, memoryview(b"")))
        if kind not in kinds:
            raise ValueError(f"an array must have {what}, got an element of type {kind}")
        return kind, found

    flags = part([_UINT32], "flags")[1]
    if len(flags) != 8:
        raise ValueError(f"flags of an array must have 8 bytes, got {len(flags)}")
    (flag,) = struct.unpack(f"{order}I", flags[:4])
    shape = np.frombuffer(part([_INT32], "a shape")[1], f"{order}i4").tolist()
    name = bytes(part([_INT8], "a name")[1]).decode("latin-1")
    if name not in names:
        return name, None
    if flag & 0xFF not in _NUMBERS or flag & _COMPLEX or min(shape, default=-1) < 0:
        raise ValueError(f"{name} must be an array of real numbers, got one of class {flag & 0xFF}, shape {shape}")
    kind, numbers = part(_TYPES, f"numbers as {name}")
    dtype = np.dtype(f"{order}{_TYPES[kind]}")
    if len(numbers) != math.prod(shape) * dtype.itemsize:
        raise ValueError(
            f"{name} must have {math.prod(shape)} entries by its shape, got {len(numbers)} bytes of {dtype}"
        )
    return name, np.frombuffer(numbers, dtype).reshape(shape, order="F")
