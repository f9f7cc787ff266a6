"""Handwritten digits: scikit-learn's as it has them, MNIST from its IDX files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Literal

import pytest
import torch

from image_files import REAL_DATA
from nflows_spread.datasets import DATA_VARIABLE, handwritten_digits, mnist


def test_digits_are_scikit_learns_in_the_unit_interval() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    x, labels = handwritten_digits()
    images, classes = datasets.load_digits(return_X_y=True)
    assert x.shape == (1797, 64)
    assert x.min() == 0.0
    assert x.max() == 1.0
    assert torch.equal(x.double() * 16, torch.from_numpy(images))
    assert torch.equal(labels, torch.from_numpy(classes).long())


def _write_mnist(folder: Path, *, packed: bool = True, images: int = 3) -> None:
    """Small files in the format of the real ones."""
    for prefix in ("train", "t10k"):
        pixels = bytes(range(4)) * images
        files = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">4I", 0x0803, images, 2, 2) + pixels,
            f"{prefix}-labels-idx1-ubyte": struct.pack(">2I", 0x0801, 3) + bytes([7, 1, 0]),
        }
        for name, content in files.items():
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_mnist_is_read_from_its_idx_files(packed: bool, tmp_path: Path) -> None:
    _write_mnist(tmp_path, packed=packed)
    x, labels = mnist(tmp_path, split="test")
    assert torch.equal(x, torch.arange(4.0).repeat(3, 1) / 255)
    assert labels.tolist() == [7, 1, 0]


def test_the_folder_of_mnist_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    _write_mnist(tmp_path / "mnist")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(mnist().x) == 3


def test_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    _write_mnist(tmp_path, packed=False)
    images = tmp_path / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(ValueError, match="train-images-idx3-ubyte"):
        mnist(tmp_path)
    images.write_bytes(b"no")
    with pytest.raises(ValueError, match="16 bytes of header"):
        mnist(tmp_path)
    _write_mnist(tmp_path, packed=False, images=2)
    with pytest.raises(ValueError, match="as many entries"):
        mnist(tmp_path)
    with pytest.raises(ValueError, match="'train' or 'test'"):
        mnist(tmp_path, split="validation")  # type: ignore[arg-type]


@pytest.mark.skipif(
    not (REAL_DATA / "mnist").is_dir(), reason=f"real MNIST is not here; name its folder in {DATA_VARIABLE}"
)
@pytest.mark.parametrize(("split", "size"), [("train", 60_000), ("test", 10_000)])
def test_real_mnist_has_ten_classes_and_known_brightness(split: Literal["train", "test"], size: int) -> None:
    x, labels = mnist(REAL_DATA, split=split)
    assert x.shape == (size, 784)
    assert labels.unique().tolist() == list(range(10))
    assert float(x.mean()) == pytest.approx(0.1307, abs=3e-3)  # the mean that the field quotes
