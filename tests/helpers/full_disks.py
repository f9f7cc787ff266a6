"""Disks that are full or read-only, and files that may not grow: by the system itself, nothing of it is mocked."""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

NO_SPACE, TOO_LARGE, READ_ONLY = "No space left on device", "File too large", "Read-only file system"


@contextmanager
def tiny_disk(folder, size="8m"):
    """A disk of its own in memory, at a folder; skips where mounting is not permitted."""
    folder.mkdir(exist_ok=True)
    if shutil.which("mount") is None or not _done("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder):
        pytest.skip("mounting a disk is not permitted here")
    try:
        yield folder
    finally:
        _done("umount", "-l", folder)


def fill(disk, leaving=0):
    """Leave so many bytes free, to the page below."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - leaving, 1))


def free(disk):
    """Undo ``fill``."""
    (disk / "filler").unlink()


@contextmanager
def read_only(disk):
    """Inside, nothing can be written to a tiny disk, by root neither."""
    if not _done("mount", "-o", "remount,ro", disk):
        pytest.skip("mounting a disk read-only is not permitted here")
    try:
        yield
    finally:
        _done("mount", "-o", "remount,rw", disk)


@contextmanager
def files_up_to(size):
    """Inside, files of this process can have so many bytes at most; Python ignores the signal that says so."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def contents(folder):
    """All files below a folder, but for what fills the disk, by name."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*"))}
    return {name: path.read_bytes() for name, path in found.items() if path.is_file() and name != "filler"}


def _done(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, check=False).returncode == 0
