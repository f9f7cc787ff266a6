"""Tiny image files and CIFAR-10 batches in the formats of the real ones, for the readers' tests."""

import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from nflows_spread.datasets import DATA_VARIABLE

REAL_DATA = Path(os.environ.get(DATA_VARIABLE, Path(__file__).parents[3] / "shared" / "data"))


def png(pixels):
    """The bytes of a PNG file of (height, width, 3) pixels; PNG loses nothing."""
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_batch(path, pixels, labels, **others):
    """A batch as Python 2 would write it: protocol 2, byte strings as keys."""
    write(path, pickle.dumps({b"data": pixels, b"labels": labels, b"batch_label": b"one", **others}, protocol=2))


def chw(pixels):
    return torch.from_numpy(pixels).movedim(-1, -3)
