"""SVHN is read from its .mat files, and other and damaged ones are refused by name."""

import numpy as np
import pytest
import scipy.io
import torch

from image_files import write
from nflows_spread.datasets import svhn
from support import random_pixels, refused


def test_svhn_is_read_from_its_mat_file(tmp_path):
    pixels, labels = random_pixels(32, 32, 3, 4), np.array([[1], [10], [9], [10]], dtype=np.uint8)
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": pixels, "y": labels})
    images, found = svhn(tmp_path)
    assert torch.equal(images, torch.from_numpy(pixels).permute(3, 2, 0, 1))
    assert images.is_contiguous()
    assert found.tolist() == [1, 0, 9, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"X": random_pixels(32, 32, 3, 2)}, ("with X and y", "'y'")),
        ({"X": random_pixels(32, 32, 2), "y": [1, 2]}, ("(32, 32, 3, n)", "got (32, 32, 2)")),
        ({"X": random_pixels(32, 32, 3, 2), "y": [1]}, ("n labels", "and 1")),
        ({"X": random_pixels(32, 32, 3, 2), "y": [0, 1]}, ("labels from 1 to 10", "got 0 to 1")),
        ({"X": random_pixels(32, 32, 3, 2) * 1.0, "y": [1, 1]}, ("from 0 to 255", "float64")),
        ({"X": random_pixels(32, 32, 3, 2) * np.int16(9), "y": [1, 1]}, ("from 0 to 255", "got 0 to")),
    ],
)
def test_another_mat_file_is_refused_by_name(content, words, tmp_path):
    scipy.io.savemat(tmp_path / "test_32x32.mat", content)
    with refused(ValueError, "test_32x32.mat", *words):
        svhn(tmp_path, split="test")


def test_a_damaged_mat_file_is_refused_by_name(tmp_path):
    path = tmp_path / "train_32x32.mat"
    scipy.io.savemat(path, {"X": random_pixels(32, 32, 3, 2), "y": [1, 1]}, do_compression=True)
    whole = path.read_bytes()
    for damaged in (b"no MATLAB" * 40, b"", whole[: len(whole) // 2], whole[:300] + b"damage" * 20 + whole[420:]):
        write(path, damaged)
        with refused(ValueError, "train_32x32.mat must be a .mat file"):
            svhn(tmp_path)
