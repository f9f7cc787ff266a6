"""Limits on the sizes that headers of data files claim, before memory of that size is asked for."""

from __future__ import annotations

import os
import zipfile

DEFLATE_RATIO = 1032
"""How many times larger than its compressed bytes content can be at most, by the format: 258 bytes a quarter of a byte
(https://zlib.net/zlib_tech.html)."""

LARGEST_IMAGE_FILE = 2**30
"""Bytes of one image in an archive, at most: a choice, above those of any that Pillow's own limit of pixels admits."""

_UNKNOWN_MEMORY = 2**36
"""Bytes of memory that a machine is taken to have where it does not say: a choice, 64 GiB."""


def memory_of_machine() -> int:
    """The bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # systems without these names
        return _UNKNOWN_MEMORY


def check_fits(name: str, size: int) -> None:
    """``ValueError`` if content of a file is larger than all memory of this machine.

    Args:
        name: of the file.
        size: of what it claims to hold, in bytes.
    """
    memory = memory_of_machine()
    if size > memory:
        raise ValueError(
            f"{name} must hold no more than the {memory / 1e9:.0f} GB of memory here, got {size / 1e9:.4g} GB by its "
            "header; the file is damaged, or take fewer rows"
        )


def check_member(member: zipfile.ZipInfo, archive: str, *, most: int | None = None) -> None:
    """``ValueError`` if a file in an archive claims more than its compressed bytes can hold, or than there is room for.

    Args:
        member: the file in the archive.
        archive: the name of the archive.
        most: bytes that it may have; by default as many as this machine has memory.
    """
    if member.file_size > DEFLATE_RATIO * (member.compress_size + 1) and member.compress_type in (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
    ):
        raise ValueError(
            f"{member.filename} in {archive} must be at most {DEFLATE_RATIO} times its {member.compress_size} "
            f"compressed bytes, got {member.file_size} by the archive; the archive is damaged"
        )
    check_fits(f"{member.filename} in {archive}", member.file_size)
    if most is not None and member.file_size > most:
        raise ValueError(
            f"{member.filename} in {archive} must have at most {most} bytes, got {member.file_size}; leave it out"
        )
