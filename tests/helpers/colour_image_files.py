"""Small files in the formats of CIFAR-10, SVHN and CelebA, and a classifier that need not be trained."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from nflows_spread.datasets import CIFAR10_CLASSES
from paper.sample_quality.classifier import SmallClassifier

TRAINED, HELD_OUT = 60, 12
"""How many images there are of each set."""


def smooth_pixels(count: int, seed: int) -> np.ndarray:
    """Images of smooth colours, (count, 32, 32, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(8, 1).repeat(8, 2)


def write_cifar10(folder: Path) -> None:
    for name, count in {**{f"data_batch_{n}": 12 for n in range(1, 6)}, "test_batch": HELD_OUT}.items():
        pixels = smooth_pixels(count, len(name)).transpose(0, 3, 1, 2).reshape(count, -1)
        path = folder / "cifar-10-batches-py" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(count)]}))


def write_svhn(folder: Path) -> None:
    for split, count in {"train": TRAINED, "test": HELD_OUT}.items():
        labels = np.arange(count)[:, None] % 10 + 1  # as published, 10 is a zero
        scipy.io.savemat(
            folder / f"{split}_32x32.mat", {"X": smooth_pixels(count, 0).transpose(1, 2, 3, 0), "y": labels}
        )


def write_celeba(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.concatenate([smooth_pixels(TRAINED, 0), smooth_pixels(HELD_OUT, 1)])
    splits = [0] * TRAINED + [2] * HELD_OUT
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number, one in enumerate(pixels, 1):
            file = io.BytesIO()
            image.fromarray(one).resize((178, 218)).save(file, "PNG")
            archive.writestr(f"img_align_celeba/{number:06}.jpg", file.getvalue())
    names = "".join(f"{number:06}.jpg {split}\n" for number, split in enumerate(splits, 1))
    (folder / "list_eval_partition.txt").write_text(names)


def write_cifar10_images(folder: Path, corrupt: int) -> None:
    """Archives of six images for each class; the first few of the training set are no images."""
    image = pytest.importorskip("PIL.Image")
    for split, count in {"train": 6, "test": 1}.items():
        with zipfile.ZipFile(folder / f"{split}.zip", "w") as archive:
            for number, pixels in enumerate(smooth_pixels(10 * count, count)):
                file = io.BytesIO()
                image.fromarray(pixels).save(file, "PNG")
                good = split == "test" or number >= corrupt
                name = f"{CIFAR10_CLASSES[number % 10]}/{number:04}.png"
                archive.writestr(name, file.getvalue() if good else b"no image")


WRITERS = {"cifar10": write_cifar10, "svhn": write_svhn, "celeba": write_celeba}


def write_all(folder: Path) -> Path:
    """All three sets in a folder that is made for them."""
    folder.mkdir()
    for write in WRITERS.values():
        write(folder)
    return folder


def untrained_classifier(x: torch.Tensor, labels: torch.Tensor, *, folder: Path, **options: object) -> SmallClassifier:
    """In the place of one that would have to be trained."""
    torch.manual_seed(0)
    return SmallClassifier(tuple(x.shape[1:]), int(labels.max()) + 1, num_features=8)
