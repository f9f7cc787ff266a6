"""Reader for CelebA, the aligned faces that its authors publish."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Literal

from nflows_spread.argument_types import typed
from nflows_spread.datasets.data_folder import candidate_folders, missing
from nflows_spread.datasets.image_folder import image_folder
from nflows_spread.datasets.images import ImageSet

_IMAGES, _SPLITS = "img_align_celeba", "list_eval_partition.txt"
_PARTS = ("train", "valid", "test")
_PUBLISHED = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@typed
def celeba(
    folder: str | Path | None = None,
    *,
    split: Literal["all", "train", "valid", "test"] = "all",
    size: int = 32,
    crop: int = 148,
    limit: int | None = None,
    strict: bool = False,
) -> ImageSet:
    """CelebA's aligned faces, cut to a centred square and resized, (n, 3, size, size). Nothing is downloaded.

    The paper (section 5.2) does not say how large its crop is; 148 of the 178×218 pixels is what most
    others take. Needs the extra ``images``, for Pillow.

    Args:
        folder: where ``img_align_celeba`` or ``img_align_celeba.zip`` is, or a folder with a subfolder
            ``celeba`` that has it; by default the environment variable ``NFLOWS_SPREAD_DATA``.
        split: a part other than all needs ``list_eval_partition.txt`` beside the images.
        size: height and width of the result.
        crop: side of the centred square that is cut out first, in pixels of the file.
        limit: read no more than the first so many.
        strict: a file that cannot be read is an error; by default it is left out and named in a warning.

    Raises:
        FileNotFoundError: the images, or the list of the split, are missing.
        ValueError: there is no such split, or the folder has no image that can be read.
    """
    if split not in ("all", *_PARTS):
        raise ValueError(f"split must be 'all', 'train', 'valid' or 'test', got {split!r}")
    for place in candidate_folders(folder, "celeba"):
        for path in (place / _IMAGES, place / f"{_IMAGES}.zip"):
            if path.exists():
                only = None if split == "all" else _members(place / _SPLITS, split)
                faces = image_folder(path, size=size, crop=crop, only=only, limit=limit, strict=strict)
                return faces._replace(labels=None)  # the archive's only folder is no class
    raise missing("CelebA", f"{_IMAGES}/*.jpg or {_IMAGES}.zip", _PUBLISHED, folder)


def _members(path: Path, split: str) -> Collection[str]:
    """The names of the files of a split, from lines ``000001.jpg 0``."""
    if not path.is_file():
        raise FileNotFoundError(
            f"split {split!r} of CelebA needs {_SPLITS} beside the images, got none at {path}; "
            f"get it from {_PUBLISHED}, or take split='all'"
        )
    number = str(_PARTS.index(split))
    entries = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return {entry[0] for entry in entries if len(entry) == 2 and entry[1] == number}
