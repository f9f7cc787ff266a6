"""Reader for SVHN (Street View House Numbers), the cropped digits that their authors publish."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from nflows_spread.argument_types import typed
from nflows_spread.datasets.data_folder import candidate_folders, missing
from nflows_spread.datasets.images import ImageSet, as_bytes
from nflows_spread.datasets.mat_files import read_mat

SVHN_FILES = {split: f"{split}_32x32.mat" for split in ("train", "test", "extra")}
_PUBLISHED = "http://ufldl.stanford.edu/housenumbers"
_CLASSES = 10


@typed
def svhn(folder: str | Path | None = None, *, split: Literal["train", "test", "extra"] = "train") -> ImageSet:
    """SVHN's cropped digits from a ``.mat`` file on disk, (n, 3, 32, 32), with labels 0 to 9. Nothing is downloaded.

    Args:
        folder: where ``train_32x32.mat`` is, or a folder with a subfolder ``svhn`` that has it; by default
            the environment variable ``NFLOWS_SPREAD_DATA``.
        split: the training set, the test set or the additional, easier digits.

    Raises:
        FileNotFoundError: the file is missing; the error names it and where it is published.
        ValueError: there is no such split, or the file is not what its name says.
    """
    if split not in SVHN_FILES:
        raise ValueError(f"split must be 'train', 'test' or 'extra', got {split!r}")
    for place in candidate_folders(folder, "svhn"):
        path = place / SVHN_FILES[split]
        if path.is_file():
            return _read(path)
    raise missing("SVHN", SVHN_FILES[split], _PUBLISHED, folder)


def _read(path: Path) -> ImageSet:
    """X is (32, 32, 3, n) and y (n, 1), with 10 for the digit 0."""
    try:
        content = read_mat(path, ("X", "y"))
        pixels, labels = np.asarray(content["X"]), np.asarray(content["y"]).reshape(-1)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path.name} must be a .mat file with X and y, got something else: {error}") from error
    if pixels.ndim != 4 or pixels.shape[:3] != (32, 32, 3) or pixels.shape[3] != len(labels):
        raise ValueError(
            f"{path.name} must hold X of shape (32, 32, 3, n) and n labels, got {pixels.shape} and {len(labels)}"
        )
    if not np.isin(labels, range(1, _CLASSES + 1)).all():
        raise ValueError(f"{path.name} must hold labels from 1 to 10, got {labels.min()} to {labels.max()}")
    images = as_bytes(pixels.transpose(3, 2, 0, 1), path.name)
    return ImageSet(images, torch.from_numpy(labels.astype(np.int64) % _CLASSES))
