"""Readers for handwritten digits: scikit-learn's 8×8 ones, bundled with it, and MNIST's four IDX files."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nflows_spread.argument_types import typed
from nflows_spread.datasets.claimed_sizes import DEFLATE_RATIO
from nflows_spread.datasets.data_folder import candidate_folders, first_file, missing
from nflows_spread.datasets.extras import sklearn_datasets

MNIST_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_MNIST_PUBLISHED = "https://yann.lecun.com/exdb/mnist/ and https://github.com/cvdfoundation/mnist"
_IMAGES_MAGIC, _LABELS_MAGIC = 0x0803, 0x0801


class LabelledImages(NamedTuple):
    """Images as flat points in [0, 1], float32, (n, D), with their classes, (n,), int64."""

    x: Tensor
    labels: Tensor


def handwritten_digits() -> LabelledImages:
    """The 1797 handwritten digits that scikit-learn bundles, 8×8, as points (1797, 64).

    Real data, so nobody knows its dimension. Needs the extra ``sklearn``; nothing is downloaded.
    """
    x, labels = sklearn_datasets().load_digits(return_X_y=True)
    return LabelledImages(torch.from_numpy(x).float() / 16.0, torch.from_numpy(labels).long())


@typed
def mnist(folder: str | Path | None = None, *, split: Literal["train", "test"] = "train") -> LabelledImages:
    """MNIST from its IDX files on disk, 28×28, as points (60000 or 10000, 784). Nothing is downloaded.

    Args:
        folder: where the four files are, gzipped or not, or a folder with a subfolder ``mnist`` that
            has them; by default the environment variable ``NFLOWS_SPREAD_DATA``.
        split: the training or the test set.

    Raises:
        FileNotFoundError: a file is missing; the error names the four and where they are published.
        ValueError: there is no such split, or a file is not what its name says.
    """
    if split not in MNIST_FILES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    images_path, labels_path = _mnist_paths(folder, split)
    images = _read_idx(images_path, _IMAGES_MAGIC, dimensions=3)
    labels = _read_idx(labels_path, _LABELS_MAGIC, dimensions=1)
    if len(images) != len(labels):
        raise ValueError(
            f"{images_path.name} and {labels_path.name} must have as many entries as each other, "
            f"got {len(images)} and {len(labels)}"
        )
    return LabelledImages(images.flatten(1).float() / 255.0, labels.long())


def _mnist_paths(folder: str | Path | None, split: str) -> list[Path]:
    for place in candidate_folders(folder, "mnist"):
        found = [first_file(place / f"{name}.gz", place / name) for name in MNIST_FILES[split]]
        if None not in found:
            return [path for path in found if path is not None]
    names = ", ".join(f"{name}.gz" for names in MNIST_FILES.values() for name in names)
    raise missing("MNIST", names, _MNIST_PUBLISHED, folder)


def _read_idx(path: Path, magic: int, *, dimensions: int) -> Tensor:
    """The bytes of an IDX file: a big-endian magic number and sizes, then the entries.

    What the header claims is compared with the size of the file before that many bytes are read.
    """
    header, size = 4 * (1 + dimensions), path.stat().st_size
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(header)
            if len(start) < header:
                raise ValueError(f"{path.name} must begin with {header} bytes of header, got {len(start)} bytes in all")
            found, *shape = struct.unpack(f">{1 + dimensions}I", start)
            entries = math.prod(shape)
            largest = DEFLATE_RATIO * size if packed else size - header
            content = file.read(entries + 1) if found == magic and entries <= largest else b""
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} must be a whole file, got one that is damaged: {error}; get it again") from error
    if found != magic or len(content) != entries:
        raise ValueError(
            f"{path.name} must have the magic number {magic:#06x} and {entries} entries after it, got {found:#06x} and "
            f"{f'more than {entries}' if len(content) > entries else f'{len(content)} of at most {largest}'}; the file "
            "is damaged or another one"
        )
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(shape)
