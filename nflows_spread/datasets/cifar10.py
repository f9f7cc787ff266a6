"""Reader for CIFAR-10: the Python batches that its author publishes, or archives or folders of its classes' images."""

from __future__ import annotations

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nflows_spread.argument_types import typed
from nflows_spread.datasets.data_folder import candidate_folders, missing
from nflows_spread.datasets.image_folder import image_folder
from nflows_spread.datasets.images import ImageSet, as_bytes

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""What the labels 0 to 9 stand for."""
_BATCHES = "cifar-10-batches-py"
_FILES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_PUBLISHED = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SHAPE = (3, 32, 32)


@typed
def cifar10(
    folder: str | Path | None = None, *, split: Literal["train", "test"] = "train", strict: bool = False
) -> ImageSet:
    """CIFAR-10 from disk, (n, 3, 32, 32), with its ten classes. Nothing is downloaded.

    The original is read from ``cifar-10-batches-py`` by an unpickler that knows arrays and nothing else.
    ``train.zip`` and ``test.zip``, or folders ``train`` and ``test``, with one subfolder for each class are
    read as images, which needs the extra ``images``. Their numbers are the original's; where they are
    JPEGs, the pixels are not.

    Args:
        folder: where one of these is, or a folder with a subfolder ``cifar10`` that has it; by default
            the environment variable ``NFLOWS_SPREAD_DATA``.
        split: the training or the test set.
        strict: an image file that cannot be read is an error; by default it is left out with a warning.

    Raises:
        FileNotFoundError: the files are missing; the error names them and where they are published.
        ValueError: there is no such split, or a file is not what its name says.
    """
    if split not in _FILES:
        raise ValueError(f"split must be 'train' or 'test', got {split!r}")
    for place in candidate_folders(folder, "cifar10"):
        batches = place if place.name == _BATCHES else place / _BATCHES
        if batches.is_dir():
            return _read_batches(batches, split, folder)
        for path in (place / f"{split}.zip", place / split):
            if path.exists():
                return _read_images(path, strict)
    raise missing("CIFAR-10", _expected(), _PUBLISHED, folder)


def _expected() -> str:
    names = ", ".join(name for names in _FILES.values() for name in names)
    return f"{_BATCHES}/ with {names}, or as train.zip and test.zip with a folder of images for each class"


def _read_images(path: Path, strict: bool) -> ImageSet:
    found = image_folder(path, strict=strict)
    if found.images.shape[1:] != _SHAPE or found.labels is None:
        raise ValueError(
            f"{path.name} must hold images of 32×32 pixels in a folder for each class, got some of "
            f"{'×'.join(map(str, found.images.shape[2:]))}{' without classes' if found.labels is None else ''}"
        )
    classes = len(found.labels.unique())
    if classes != len(CIFAR10_CLASSES):  # they are numbered in the order of their names
        raise ValueError(
            f"{path.name} must hold images in a folder for each of the {len(CIFAR10_CLASSES)} classes, got {classes}"
        )
    return found


def _read_batches(batches: Path, split: str, folder: str | Path | None) -> ImageSet:
    paths = [batches / name for name in _FILES[split]]
    if not all(path.is_file() for path in paths):
        raise missing("CIFAR-10", _expected(), _PUBLISHED, folder)
    images, labels = zip(*(_read_batch(path) for path in paths))
    return ImageSet(torch.cat(images), torch.cat(labels))


def _read_batch(path: Path) -> tuple[Tensor, Tensor]:
    """The images of one batch: rows of 3072 bytes, the red plane first, and their classes."""
    try:
        packed = path.read_bytes()
        _check_places(packed)
        content = _ArraysOnly(io.BytesIO(packed), encoding="bytes").load()
        entries = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        pixels, labels = np.asarray(entries["data"]), np.asarray(entries["labels"])
    except Exception as error:  # damaged pickles raise anything
        raise ValueError(f"{path.name} must be a batch of CIFAR-10, got something else: {error}") from error
    if pixels.ndim != 2 or pixels.shape[1] != 3072 or labels.shape != pixels.shape[:1]:
        raise ValueError(
            f"{path.name} must hold rows of 3072 bytes and as many labels, got {pixels.shape} and {labels.shape}"
        )
    if labels.size and not 0 <= labels.min() <= labels.max() < len(CIFAR10_CLASSES):
        raise ValueError(f"{path.name} must hold labels from 0 to 9, got {labels.min()} to {labels.max()}")
    return as_bytes(pixels, path.name).view(-1, *_SHAPE), torch.from_numpy(labels.astype(np.int64))


def _check_places(packed: bytes) -> None:
    """``UnpicklingError`` for a place that is far beyond what a pickle has, up to which Python would make room."""
    for operation, place, _ in pickletools.genops(packed):
        if "PUT" in operation.name and not 0 <= int(place or 0) <= len(packed):
            raise pickle.UnpicklingError(f"it puts an object in place {place} of {len(packed)}")


class _ArraysOnly(pickle.Unpickler):
    """Loads plain containers and NumPy arrays, and refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _as_latin1,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of an array")
        return known[module, name]


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> Any:
    """The array of no entries that NumPy's pickles begin with, whose state then has the entries."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError(f"an array must begin with no entries, got shape {shape}")
    return np.empty(0)


def _as_latin1(text: str, encoding: str) -> bytes:
    """The bytes of an array as Python 3 pickles them for Python 2."""
    return text.encode("latin1")
