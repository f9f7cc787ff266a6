"""Memory-mapped files that become shorter, or are replaced, while they are in use: an error, never zeros for rows."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nflows_spread.dimension import dimension_of
from nflows_spread.dimension.row_sample import sampled_rows
from nflows_spread.mapped_files import mapped_npy, unshrunk
from nflows_spread.training import fit
from nflows_spread.training.sources import Shard, source_of
from support import refused
from training_toys import MeanSquare, sgd

posix = pytest.mark.skipif(os.name != "posix", reason="other systems refuse to cut a file that is mapped")
N, COLUMNS = 3_000, 4
HEADER = 128
"""Bytes before the array of such a file, by NumPy's format."""
SHARD = Shard(batch_size=10, rank=0, processes=1, device=torch.device("cpu"), dtype=torch.float32)


def written(path, rows=N):
    x = np.random.default_rng(0).normal(size=(rows, COLUMNS))
    np.save(path, x)
    assert path.stat().st_size == HEADER + x.nbytes
    return path


def cut_by(path, size):
    os.truncate(path, path.stat().st_size - size)


READERS = {
    "dimension_of, of all rows": lambda array: dimension_of(array),
    "dimension_of, of some": lambda array: dimension_of(array, max_points=500),
    "dimension_of, of a part": lambda array: dimension_of(array[100:2000, 1:]),
    "a sample of rows": lambda array: sampled_rows("X", array, 500, torch.Generator().manual_seed(0)),
    "a source of training": lambda array: source_of(array, SHARD).take(torch.arange(N)),
    "held-out rows and their context": lambda array: source_of((array, torch.zeros(N)), SHARD),
}


@posix
@pytest.mark.parametrize("size", [1, 1000], ids=["by a byte", "within its last page"])
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_file_that_was_cut_after_it_was_mapped_is_an_error(read, size, tmp_path):
    """Within its last page, where the system gives zeros and lets the process live."""
    array = mapped_npy("X", written(tmp_path / "x.npy"))
    whole = array.nbytes + HEADER
    cut_by(tmp_path / "x.npy", size)
    with refused(
        ValueError, "must be of a file that stays as long as it was when it was mapped", f"{whole} bytes, got",
        f"with {whole - size}",
    ):  # fmt: skip
        read(array)


@posix
def test_a_file_that_is_cut_while_it_is_read_is_an_error(tmp_path):
    array = mapped_npy("X", written(tmp_path / "x.npy"))
    with refused(ValueError, "X must be of a file that stays as long"), unshrunk("X", array):
        cut_by(tmp_path / "x.npy", 1)


@posix
def test_a_training_ends_when_its_file_is_cut(tmp_path):
    path = written(tmp_path / "x.npy")
    objective, steps = MeanSquare(COLUMNS), []

    def cut(state):
        steps.append(state.step)
        if state.step == 3:
            os.truncate(path, 4096)  # of which reading the rest would kill the process

    with refused(ValueError, "data must be of a file that stays as long", "with 4096"):
        fit(objective, path, steps=100, batch_size=10, optimizer=sgd(objective), callbacks=[cut])
    assert steps == [1, 2, 3]


@posix
def test_the_rows_of_a_file_that_was_replaced_are_those_that_were_mapped(tmp_path):
    path = written(tmp_path / "x.npy")
    array, expected = mapped_npy("X", path), np.load(path)
    np.save(tmp_path / "y.npy", 0.0 * expected)
    os.replace(tmp_path / "y.npy", path)
    rows, _, _, which = sampled_rows("X", array, 500, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(rows, expected[which.numpy()])


@pytest.mark.parametrize("size", [0, 60, HEADER, HEADER + 8, HEADER + 8 * N])
def test_a_file_shorter_than_its_header_says_is_not_opened(size, tmp_path):
    path = written(tmp_path / "x.npy")
    os.truncate(path, size)
    with refused(ValueError, f"DATA must be a whole .npy file, got {path}: ", "; save it again"):
        mapped_npy("DATA", path)
    objective = MeanSquare(COLUMNS)
    with refused(ValueError, f"data must be a whole .npy file, got {path}: "):
        fit(objective, path, steps=1, batch_size=10, optimizer=sgd(objective))
    run = pytest.importorskip("command_runs").run
    pytest.importorskip("click")
    _, error, status = run("dimension", path)
    assert (len(error), status) == (1, 2)
    assert error[0].startswith(f"nflows-spread: {path.name} cannot be read as .npy: ")


def test_bytes_after_the_array_are_told_of(tmp_path):
    path = tmp_path / "x.npy"
    with path.open("wb") as file:
        for _ in range(2):
            np.save(file, np.zeros((5, 2)))
    with pytest.warns(UserWarning, match=r"x.npy has 208 bytes after the array of shape \(5, 2\).*save it again"):
        assert mapped_npy("X", path).shape == (5, 2)


@pytest.mark.parametrize("array", [np.zeros((3, 2)), torch.zeros(3, 2), None], ids=["array", "tensor", "nothing"])
def test_what_is_not_mapped_passes(array):
    with unshrunk("X", array):
        pass


@posix
def test_reading_beyond_the_end_by_itself_kills_a_process(tmp_path):
    """What the check is for, and what it cannot catch: a file that is cut between the check and the reading."""
    path = written(tmp_path / "x.npy")
    program = (
        f"import os, numpy as np; x = np.load({str(path)!r}, mmap_mode='r'); "
        f"os.truncate({str(path)!r}, 4096); print(x.sum())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=Path(__file__).parent, check=False)
    assert done.returncode < 0
    assert done.stdout == b""
