"""Disks that are full while the command writes: one line that says so, no half file, and no fit that is lost."""

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("lightning_fabric")

from command_runs import arc, ramps, run
from full_disks import NO_SPACE, READ_ONLY, contents, fill, free, read_only, tiny_disk
from nflows_spread.cli import commands

ROWS = 2_000
COMMANDS = {
    "sample to .npy": ("sample", ".npy", 0),
    "sample to .csv": ("sample", ".csv", 8192),
    **{f"sample to {suffix}": ("sample", suffix, 8192) for suffix in (".npz", ".tsv", ".parquet")},
    "transform": ("transform", ".npy", 8192),
    "reconstruct": ("reconstruct", ".csv", 0),
    "report": ("report", ".html", 8192),
}
"""A command, what it writes, and bytes that are free: of some 16 KB or more nothing is written, or some."""
FAST = 1
"""Of them is tried in every run."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "arc.npy"
    np.save(path, arc(ROWS))
    return path


@pytest.fixture(scope="module")
def fitted(data):
    assert run("fit", data, "--out", data.parent / "run", "--steps", 5)[2] == 0
    return data.parent / "run"


def written(command, fitted, data, out):
    """What a command says, the line of its error that is no warning, and its status."""
    arguments = [fitted] if command in ("sample", "report") else [fitted, data]
    number = ["-n", ROWS] if command == "sample" else []
    lines, error, status = run(command, *arguments, *number, "--out", out)
    return lines, [line for line in error if not line.startswith("warning: ")], status


@pytest.mark.parametrize(
    ("command", "suffix", "left"),
    [pytest.param(*case, marks=[pytest.mark.slow] * (n >= FAST)) for n, case in enumerate(COMMANDS.values())],
    ids=COMMANDS,
)
def test_a_result_is_whole_or_what_was_there_before(command, suffix, left, fitted, data, tmp_path):
    with tiny_disk(tmp_path / "disk") as disk:
        out, old = disk / f"new{suffix}", disk / f"old{suffix}"
        old.write_bytes(b"of before")
        fill(disk, left)
        for path, stays in ((out, "nothing was written"), (old, "what was there is as it was")):
            said = f"nflows-spread: cannot write {path}: {NO_SPACE}; {stays}; free space or choose another folder"
            assert written(command, fitted, data, path) == ([], [said], 2)
            assert contents(disk) == {old.name: b"of before"}
        free(disk)
        with read_only(disk):
            said = f"nflows-spread: cannot write {out}: {READ_ONLY}; nothing was written; free space or choose another"
            assert written(command, fitted, data, out) == ([], [f"{said} folder"], 2)
        assert contents(disk) == {old.name: b"of before"}
        assert written(command, fitted, data, old)[1:] == ([], 0)
        assert list(contents(disk)) == [old.name]
        assert old.read_bytes() != b"of before"


@pytest.mark.slow
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_of_images_is_whole_or_not_there(there, tmp_path):
    folder = ramps(tmp_path / "images")
    assert run("fit", folder, "--grey", "--out", tmp_path / "run", "--steps", 5)[2] == 0
    with tiny_disk(tmp_path / "disk", "1m") as disk:
        out = disk / "samples"
        if there:
            out.mkdir()
        fill(disk, 40_960)
        _, error, status = run("sample", tmp_path / "run", "-n", 100, "--out", out)
        assert status == 2
        assert len(error) == 1
        assert NO_SPACE in error[0]
        assert contents(disk) == {}
        assert (out.exists(), [path.name for path in disk.rglob(".*")]) == (there, [])
        free(disk)
        assert run("sample", tmp_path / "run", "-n", 100, "--out", out)[1:] == ([], 0)
        assert sorted(path.name for path in out.iterdir()) == [f"{number:02d}.png" for number in range(100)]


@pytest.mark.slow
@pytest.mark.parametrize("left", [0, 200_000])
def test_a_fit_that_cannot_be_written_is_not_lost(left, fitted, data, tmp_path, monkeypatch):
    with tiny_disk(tmp_path / "disk", "32m") as disk:
        original = commands.write_run

        def on_a_full_disk(*arguments):
            fill(disk, left)
            return original(*arguments)

        with monkeypatch.context() as patched:
            patched.setattr(commands, "write_run", on_a_full_disk)
            _, error, status = run("fit", data, "--out", disk / "run", "--steps", 5)
        assert status == 2
        assert error[-1].startswith(f"nflows-spread: cannot write {disk / 'run'}")
        assert f": {NO_SPACE}; nothing was written; free space" in error[-1]
        files = contents(disk)
        assert files
        assert all(name.startswith("run/unfinished/") and name.endswith((".pt", ".json")) for name in files), files
        free(disk)
        assert run("fit", data, "--out", disk / "run", "--steps", 5)[2] == 0
        assert sorted(contents(disk)) == ["run/estimator.pickle", "run/rows.npz", "run/run.json"]
        for name, where in (("a", disk / "run"), ("b", fitted)):
            assert run("transform", where, data, "--out", tmp_path / f"{name}.npy")[2] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
