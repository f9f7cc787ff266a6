"""Files and folders that are written whole or not at all; disks that are full are in the tests of what is written."""

import errno
import os
import re
from functools import partial
from pathlib import Path

import pytest

from nflows_spread import whole_files
from nflows_spread.whole_files import link_atomically, remove_unfinished, whole_file, whole_folder

ENDS = [ValueError("of the caller"), KeyboardInterrupt()]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_the_old_one_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with whole_file(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("end", ENDS, ids=["an error", "Ctrl-C"])
def test_a_block_that_does_not_end_well_leaves_all_as_it_was(end, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"old")
    (tmp_path / "empty").mkdir()
    before = names(tmp_path)

    def one_file():
        with whole_file(tmp_path / "a.txt") as stream:
            stream.write(b"new")
            raise end

    def several(folder):
        with whole_folder(tmp_path / folder) as aside:
            (aside / "0.png").write_bytes(b"new")
            raise end

    for call in (one_file, partial(several, "new"), partial(several, "empty")):
        with pytest.raises(type(end)):
            call()
    assert (tmp_path / "a.txt").read_bytes() == b"old"
    assert names(tmp_path) == before
    assert names(tmp_path / "empty") == []


def test_an_error_of_a_library_says_what_the_system_said(tmp_path):
    def fails():
        with whole_file(tmp_path / "a.txt"):
            try:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError as error:
                raise RuntimeError("of the library") from error

    with pytest.raises(OSError, match=r"cannot write .*a.txt: No space left on device; nothing was written") as caught:
        fails()
    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="links and devices are those of POSIX")
def test_a_link_is_written_through_and_a_device_written_to(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.txt").write_bytes(b"old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "there" / "a.txt")
    with whole_file(tmp_path / "link.txt") as stream:
        stream.write(b"new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there" / "a.txt").read_bytes() == b"new"
    with whole_file(Path("/dev/null")) as stream:
        stream.write(b"new")
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_appears_with_all_of_its_files(there, tmp_path):
    path = tmp_path / "images"
    if there:
        path.mkdir()
    inode = path.stat().st_ino if there else None
    with whole_folder(path) as aside:
        for name in ("0.png", "1.png"):
            (aside / name).write_bytes(b"x")
            assert not path.exists() or not [each for each in names(path) if each.endswith(".png")]
    assert names(path) == ["0.png", "1.png"]
    assert names(tmp_path) == ["images"]
    assert inode in (None, path.stat().st_ino), "a folder that is there, perhaps a disk of its own, stays"


def test_what_was_left_behind_is_removed_and_nothing_else(tmp_path):
    for name in (".a.pt.77.unfinished", "a.pt", "b.unfinished"):
        (tmp_path / name).write_bytes(b"x")
    remove_unfinished(tmp_path)
    assert names(tmp_path) == ["a.pt", "b.unfinished"]


def test_a_link_to_a_file_that_is_gone_leaves_the_old_one(tmp_path):
    (tmp_path / "best.pt").write_bytes(b"old")
    with pytest.raises(OSError, match=r"cannot write .*best.pt: No such file.*; what was there is as it was"):
        link_atomically(tmp_path / "gone.pt", tmp_path / "best.pt")
    assert (tmp_path / "best.pt").read_bytes() == b"old"
    assert names(tmp_path) == ["best.pt"]


@pytest.fixture
def synced(monkeypatch):
    """What was synced to the disk, by its number there, in order."""
    numbers, sync = [], os.fsync

    def noted(descriptor):
        numbers.append(os.fstat(descriptor).st_ino)
        sync(descriptor)

    monkeypatch.setattr(whole_files.os, "fsync", noted)
    return numbers


def number_of(path):
    return path.stat().st_ino


@pytest.mark.skipif(os.name != "posix", reason="folders are synced where the system lets them be")
def test_a_loss_of_power_finds_content_and_then_the_name_on_the_disk(synced, tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as stream:
        stream.write(b"new")
    assert synced == [number_of(path), number_of(tmp_path)]
    link_atomically(path, tmp_path / "best.txt")
    assert synced[2:] == [number_of(tmp_path)]
    for there in (False, True):
        with whole_folder(tmp_path / "folder") as aside:
            (aside / f"{there}.txt").write_bytes(b"new")
        assert synced[-1] == number_of(tmp_path / "folder" if there else tmp_path)
    assert names(tmp_path / "folder") == ["False.txt", "True.txt"]


def test_where_a_file_system_has_no_links_a_copy_is_made(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    source, target = tmp_path / "a.txt", tmp_path / "best.txt"
    source.write_bytes(b"content")
    target.write_bytes(b"old")
    monkeypatch.setattr(whole_files.os, "link", none)
    link_atomically(source, target)
    assert target.read_bytes() == b"content"
    assert not target.samefile(source)
    assert names(tmp_path) == ["a.txt", "best.txt"]


def test_a_folder_that_cannot_be_made_is_said_by_its_own_name(tmp_path):
    path = tmp_path / "missing" / "folder"
    message = rf"cannot write {re.escape(str(path))}: No such file or directory; nothing was written; free space"
    with pytest.raises(OSError, match=message), whole_folder(path):
        pass
