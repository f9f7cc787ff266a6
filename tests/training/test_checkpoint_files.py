"""Files of checkpoints are whole or refused, run no code, and outlive a full disk."""

import errno
import os
import pickle
import zipfile

import pytest
import torch

import resumed_runs
from nflows_spread import whole_files
from nflows_spread.training import Checkpoints, archives, read_checkpoint
from resumed_runs import ROWS, objective_of, same, tensors_of, train
from support import refused


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path):
    whole = objective_of(0)
    train(whole, ROWS, 15, folder=tmp_path)
    last = tmp_path / "step-0000000015.pt"
    last.write_bytes(last.read_bytes()[:-200])
    again = objective_of(1)
    with pytest.warns(UserWarning, match=r"step-0000000015.pt is damaged.*before it is used") as heard:
        train(again, ROWS, 15, folder=tmp_path, resume=True)
    assert same(tensors_of(again), tensors_of(whole))
    assert heard[0].filename == resumed_runs.__file__, "the line that calls fit"


def test_a_folder_of_damaged_checkpoints_is_refused(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    (tmp_path / "step-0000000005.pt").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="no archive"),
        pytest.raises(ValueError, match="none of the 1 checkpoints"),
    ):
        train(objective_of(0), ROWS, 10, folder=tmp_path, resume=True)


@pytest.mark.parametrize(("is_best", "expected"), [(True, 10), (False, 5)])
def test_a_run_killed_before_it_could_name_its_best_names_it_when_it_is_resumed(is_best, expected, tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(5, {"step": 5, "is_best": True}, is_best=True)
    assert read_checkpoint(checkpoints.best)["step"] == 5
    checkpoints.write(10, {"step": 10, "is_best": is_best}, is_best=False)  # the link did not come about
    assert checkpoints.read_latest()["step"] == 10
    assert read_checkpoint(checkpoints.best)["step"] == expected


def test_a_resumed_run_has_its_best_checkpoint_again(tmp_path):
    train(objective_of(0), ROWS, 15, folder=tmp_path)
    best = Checkpoints(tmp_path).best
    before = best.read_bytes()
    step = read_checkpoint(best)["step"]
    assert step == 15, "the loss of this run falls"
    best.unlink()
    train(objective_of(1), ROWS, 15, folder=tmp_path, resume=True)
    assert best.read_bytes() == before


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_no_flipped_byte_of_a_tensor_goes_unnoticed(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    path = tmp_path / "step-0000000005.pt"
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = sorted(archive.infolist(), key=lambda info: info.file_size)[-5:]
    for info in largest:
        path.write_bytes(whole)
        name = len(info.filename.encode())
        extra = int.from_bytes(whole[info.header_offset + 28 : info.header_offset + 30], "little")
        flip(path, info.header_offset + 30 + name + extra + info.file_size // 2)
        with pytest.raises(ValueError, match=r"damaged|refused"):
            read_checkpoint(path)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("as_archive", [False, True])
def test_no_code_of_a_pickle_runs(as_archive, tmp_path):
    path, target = tmp_path / "step-0000000005.pt", tmp_path / "made"
    if as_archive:
        torch.save({"kind": "checkpoint", "version": 1, "content": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(ValueError, match=r"could run code; it was refused|no archive \(a pickle, perhaps\)"):
        read_checkpoint(path)
    assert not target.exists()


def test_a_newer_format_is_refused(tmp_path):
    torch.save({"kind": "checkpoint", "version": 99, "content": {}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"version 1 or older, got 99; update nflows-spread"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("full", ["write", "sync"])
def test_without_space_the_run_stops_and_the_checkpoint_before_stays(full, tmp_path, monkeypatch):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if full == "write":
        monkeypatch.setattr(whole_files.Path, "open", lambda path, mode: FullDisk(path, mode))
    else:
        monkeypatch.setattr(whole_files.os, "fsync", no_space)
    with pytest.raises(OSError, match=r"cannot write .*step-0000000010.pt: No space left.*; nothing was written"):
        write_next(tmp_path)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def write_next(folder):
    archives.write_archive(folder / "step-0000000010.pt", "checkpoint", 1, {"x": torch.zeros(100_000)})


class FullDisk:
    """A file that takes a few bytes and no more."""

    def __init__(self, path, mode):
        self.file, self.left = open(path, mode), 1000  # noqa: SIM115

    def write(self, content):
        self.left -= len(content)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_a_run_that_meets_a_full_disk_ends_with_the_checkpoint_before(tmp_path, monkeypatch):
    def fill_the_disk(state):
        if state.step == 7:
            monkeypatch.setattr(whole_files.Path, "open", lambda path, mode: FullDisk(path, mode))

    with pytest.raises(
        OSError, match=r"cannot write .*step-0000000010.pt: No space left on device; nothing was written"
    ):
        train(objective_of(0), ROWS, 15, folder=tmp_path, callbacks=[fill_the_disk])
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "step-0000000005.pt"]
    whole, again = objective_of(0), objective_of(1)
    train(whole, ROWS, 15)
    train(again, ROWS, 15, folder=tmp_path, resume=True)
    assert same(tensors_of(again), tensors_of(whole))


def test_a_file_size_limit_of_the_system_is_reported_as_no_space_is(tmp_path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*File too large; nothing was written"):
            archives.write_archive(tmp_path / "a.pt", "checkpoint", 1, {"x": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    objective = objective_of(0)
    before = [parameter.detach().clone() for parameter in objective.parameters()]
    with pytest.raises(OSError, match=r"cannot write checkpoints to .*run: Not a directory; choose another folder"):
        train(objective, ROWS, 5, folder=tmp_path / "file" / "run")
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_folder_without_permission_is_refused_before_the_first_step(tmp_path, monkeypatch):
    def refuse(path, _):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(whole_files.Path, "write_bytes", refuse)
    with pytest.raises(PermissionError, match=r"checkpoints to .*Permission denied; choose another folder"):
        train(objective_of(0), ROWS, 5, folder=tmp_path)


def test_what_a_killed_process_left_behind_is_cleared(tmp_path):
    (tmp_path / ".step-0000000005.pt.77.unfinished").write_bytes(b"half")
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    assert not list(tmp_path.glob("*.unfinished"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("stored", "found"),
    [
        ([1, 2], "got list"),
        ({"x": 1}, "got a file of another program"),
        ({"kind": "model"}, "got model"),
        ({"kind": "checkpoint", "content": {}}, "got one without a version or content"),
        ({"kind": "checkpoint", "version": 1}, "got one without a version or content"),
    ],
    ids=str,
)
def test_an_archive_of_something_else_is_named(stored, found, tmp_path):
    torch.save(stored, tmp_path / "a.pt")
    with refused(ValueError, f"a.pt must be a checkpoint of nflows_spread, {found}"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("error", [MemoryError(), PermissionError(errno.EACCES, os.strerror(errno.EACCES))], ids=repr)
def test_what_is_no_fault_of_the_file_is_not_said_to_be_damage(error, tmp_path, monkeypatch):
    archives.write_archive(tmp_path / "a.pt", "checkpoint", 1, {})

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(archives.torch, "load", fail)
    with pytest.raises(type(error)) as raised:
        read_checkpoint(tmp_path / "a.pt")
    assert raised.value is error


def test_a_place_that_no_file_has_is_damage(tmp_path, monkeypatch):
    archives.write_archive(tmp_path / "a.pt", "checkpoint", 1, {})

    def fail(*_, **__):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(archives.torch, "load", fail)
    with pytest.raises(ValueError, match="is damaged or of another program"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("depth", [1, 3])
def test_the_folder_and_those_above_it_are_made_and_nothing_is_left_of_the_trial(depth, tmp_path):
    folder = tmp_path.joinpath(*["new"] * depth)
    for _ in range(2):  # one that is there is taken
        Checkpoints(folder).prepare(resume=False)
    assert list(folder.iterdir()) == []
