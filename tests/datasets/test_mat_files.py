"""Arrays of .mat files are those that SciPy wrote, and what is claimed and not there is refused."""

import struct

import numpy as np
import pytest
import scipy.io

from nflows_spread.datasets.mat_files import read_mat
from support import random_pixels, refused

ARRAYS = {
    "bytes": random_pixels(4, 5, 3, 2),
    "doubles": np.random.default_rng(0).normal(size=(7, 3)),
    "floats": np.random.default_rng(1).normal(size=(2, 9)).astype(np.float32),
    "whole": np.arange(-6, 6).reshape(3, 4),
    "short": np.arange(6, dtype=np.int16).reshape(2, 3),
    "small": np.array([[7]], dtype=np.uint8),
    "none": np.zeros((0, 3)),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_among_others_is_the_one_that_was_written(name, packed, tmp_path):
    content = {"cell": np.array([[1, "a"]], dtype=object), "text": "text", **ARRAYS, "structure": {"a": 1.0}}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=packed)
    (found,) = read_mat(tmp_path / "a.mat", [name]).values()
    np.testing.assert_array_equal(found, ARRAYS[name])
    assert read_mat(tmp_path / "a.mat", ["nothing"]) == {}


@pytest.mark.parametrize(("name", "value"), [("z", np.array([[1j]])), ("z", "text"), ("z", {"a": 1.0})])
def test_what_is_no_array_of_real_numbers_is_refused(name, value, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {name: value})
    with refused(ValueError, "z must be an array of real numbers, got one of class "):
        read_mat(tmp_path / "a.mat", [name])


@pytest.mark.parametrize(("place", "words"), [(132, "bytes that it claims"), (160, "by its shape"), (180, "claims")])
def test_a_size_that_is_not_there_is_refused_before_memory_is_asked_for(place, words, tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"X": random_pixels(32, 32)})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    content[place : place + 4] = struct.pack("<I", 2**31 - 8)
    (tmp_path / "a.mat").write_bytes(content)
    with refused(ValueError, words):
        read_mat(tmp_path / "a.mat", ["X"])


def test_a_type_that_does_not_exist_is_refused(tmp_path):
    """SciPy 1.17 ends the process here."""
    scipy.io.savemat(tmp_path / "a.mat", {"X": random_pixels(32, 32)})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    assert struct.unpack("<2I", content[176:184]) == (2, 1024)
    content[176:180] = struct.pack("<I", 130)
    (tmp_path / "a.mat").write_bytes(content)
    with refused(ValueError, "an array must have numbers as X, got an element of type 130"):
        read_mat(tmp_path / "a.mat", ["X"])


def test_a_file_of_another_version_is_refused(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"X": np.eye(20)}, format="4")
    with refused(ValueError, "it must be of version 5 (save -v6 or -v7)"):
        read_mat(tmp_path / "a.mat", ["X"])
