"""Write rows to a file by its suffix, .npy, .npz, .csv, .tsv or .parquet, or images to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from nflows_spread.cli.data_files import WHITE
from nflows_spread.datasets.extras import pillow_image
from nflows_spread.whole_files import whole_file, whole_folder

SUFFIXES = (".npy", ".npz", ".csv", ".tsv", ".parquet")
"""Of files that can be written."""


def check_writable(path: Path, item_shape: Sequence[int], *, data: Path | None = None) -> None:
    """``ValueError`` if nothing can be written there, or only over data, before anything is computed.

    Args:
        path: a file, or, without a suffix, a folder of images.
        item_shape: the shape of an entry; of an image (channels, height, width).
        data: the file that rows are read from.
    """
    if data is not None and path.exists() and data.exists() and path.samefile(data):
        raise ValueError(f"--out must be another file or folder than DATA, got {path} for both; choose another name")
    if path.suffix.lower() in SUFFIXES:
        if not path.parent.is_dir():
            raise ValueError(f"--out must lie in a folder that exists, got {path}; make {path.parent} first")
        if path.is_dir():
            raise ValueError(f"--out must be a file, got {path}, which is a folder; choose another name")
        return
    if path.suffix:
        raise ValueError(f"--out must end in {', '.join(SUFFIXES)}, or be a folder of images, got {path.name}")
    if not is_image(item_shape):
        raise ValueError(f"--out must end in {', '.join(SUFFIXES)}, as the rows are no images, got {path.name}")
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"--out must be a new or an empty folder, got {path}, which holds files; choose another name")


def write_rows(path: Path, rows: Any, names: Sequence[str], item_shape: Sequence[int]) -> None:
    """Write rows, all or none.

    Args:
        path: see ``check_writable``.
        rows: (n, D).
        names: of the columns, which ``.csv``, ``.tsv`` and ``.parquet`` have.
        item_shape: the shape of an entry, which the arrays of ``.npy`` and ``.npz`` have.

    Raises:
        OSError: they cannot be written (no space, no permission); the message says what is left.
    """
    array = np.asarray(rows)
    suffix = path.suffix.lower()
    if not suffix:
        _write_images(path, array.reshape(len(array), *item_shape))
        return
    frame = None if suffix in (".npy", ".npz") else _frame(array, names)
    with whole_file(path) as stream:
        if frame is None:
            shaped = array.reshape(len(array), *item_shape)
            np.save(stream, shaped) if suffix == ".npy" else np.savez_compressed(stream, rows=shaped)
        elif suffix == ".parquet":
            frame.to_parquet(stream, index=False)
        else:
            frame.to_csv(stream, index=False, sep="\t" if suffix == ".tsv" else ",")


def _frame(array: Any, names: Sequence[str]) -> Any:
    try:
        pandas = import_module("pandas")
    except ImportError as error:
        raise ImportError('tables need pandas, which is not installed; pip install "nflows-spread[cli]"') from error
    return pandas.DataFrame(array, columns=list(names))


def _write_images(folder: Path, images: Any) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    width = len(str(len(images) - 1))
    with whole_folder(folder) as aside:
        for number, image in enumerate(np.clip(images, 0.0, 1.0)):
            pixels = np.rint(image * WHITE).astype(np.uint8)
            shaped = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
            pillow_image().fromarray(shaped).save(aside / f"{number:0{width}d}.png")


def is_image(item_shape: Sequence[int]) -> bool:
    """Whether entries of a shape are images, (channels, height, width) of one or three channels."""
    return len(item_shape) == 3 and item_shape[0] in (1, 3)
