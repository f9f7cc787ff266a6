"""Reader for any folder or zip archive of image files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.datasets.claimed_sizes import LARGEST_IMAGE_FILE, check_fits, check_member
from nflows_spread.datasets.extras import pillow_image
from nflows_spread.datasets.image_decoding import decoded
from nflows_spread.datasets.images import ImageSet

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".tif", ".tiff", ".webp", ".gif")
_NAMED = 5


@typed
def image_folder(
    folder: str | Path,
    *,
    size: int | None = None,
    crop: int | None = None,
    channels: Literal[1, 3] = 3,
    only: Collection[str] | None = None,
    limit: int | None = None,
    strict: bool = False,
) -> ImageSet:
    """All images of a folder or zip archive and of its subfolders, in the order of their names.

    They are turned upright as their metadata say. Of a file with several frames the first is read, and of pixels that
    are not opaque the colours that are stored, with a warning. Needs the extra ``images``, for Pillow.

    Args:
        folder: a folder, or a ``.zip`` file. Where all images lie in subfolders, the first of these is
            the class, numbered in the order of their names.
        size: height and width that the images are resized to, after a centred crop to a square, by
            Pillow's bilinear filter; None leaves them, and then all must have one size.
        crop: side of the centred square that is cut out first, in pixels of the file; by default the
            largest one if there is a ``size``.
        channels: 3 for RGB, 1 for grey levels; files of another kind are converted, 12 and 16 bits to the upper 8.
            Numbers of no known range, 32-bit integers, signed or floating-point ones, cannot be read.
        only: names, without folders, of the files to read; None reads them all.
        limit: read no more than the first so many.
        strict: a file that cannot be read is an error; by default it is left out and named in a warning.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no image in it, none can be read, they differ in size, or an argument is out of range.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 for grey levels or 3 for RGB, got {channels!r}")
    crop = None if crop is None else validation.positive_int("crop", crop)
    path = Path(folder)
    if not path.exists():
        raise FileNotFoundError(f"folder must be a folder or .zip file of images, got {path}, which does not exist")
    with _opened(path) as (names, read):
        names = [name for name in names if only is None or PurePosixPath(name).name in only]
        names = names if limit is None else names[: validation.positive_int("limit", limit)]
        return _read(path.name, names, read, size=size, crop=crop, channels=channels, strict=strict)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of the images of a folder or archive, relative to it and in order, and what reads one."""
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file() or file.is_symlink())  # a dangling link is named
        yield _images_of(file.relative_to(path).as_posix() for file in files), lambda name: (path / name).read_bytes()
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # damaged archives raise more than BadZipFile
        raise ValueError(f"{path.name} must be a folder or a zip archive of images, got something else") from error

    def read(name: str) -> bytes:
        check_member(archive.getinfo(name), path.name, most=LARGEST_IMAGE_FILE)
        return archive.read(name)

    with archive:
        yield _images_of(archive.namelist()), read


def _images_of(names: Iterator[str] | list[str]) -> list[str]:
    """Those that are images by their suffix, without hidden files."""
    paths = sorted(PurePosixPath(name) for name in names)
    return [str(path) for path in paths if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]


def _read(
    source: str,
    names: list[str],
    read: Callable[[str], bytes],
    *,
    size: int | None,
    crop: int | None,
    channels: int,
    strict: bool,
) -> ImageSet:
    if not names:
        raise ValueError(f"{source} must hold images ({', '.join(SUFFIXES)}), got none")
    pillow_image()  # or an error that names the extra
    images: Tensor | None = None
    good: list[str] = []
    bad: list[str] = []
    reason: Exception | None = None  # of the first
    transparent: list[str] = []
    for name in names:
        try:
            pixels = decoded(read(name), channels)
        except ImportError:
            raise
        except Exception as error:  # damaged files make Pillow and archives raise anything
            if strict:
                raise ValueError(f"{name} in {source} cannot be read as an image: {error}") from error
            bad.append(name)
            reason = reason or error
            continue
        image = torch.from_numpy(np.array(_fitted(pixels.image, size, crop, name)))
        image = image.unsqueeze(0) if image.dim() == 2 else image.permute(2, 0, 1)
        if images is None:
            check_fits(
                f"{source}, all of whose images must be as {name}, {' × '.join(map(str, image.shape))},",
                len(names) * image.numel(),
            )
            images = torch.empty(len(names), *image.shape, dtype=torch.uint8)
        if image.shape != images.shape[1:]:
            one, other = (" × ".join(map(str, shape)) for shape in (images.shape[1:], image.shape))
            raise ValueError(f"all images of {source} must have one size, {one}, got {other} in {name}; give size=")
        images[len(good)] = image
        good.append(name)
        if pixels.transparent:
            transparent.append(name)
    if images is None:
        raise ValueError(
            f"{source} must hold images that can be read, got {len(bad)} that cannot, {_listed(bad)}; "
            f"of the first: {reason}"
        )
    if bad:
        validation.warn(
            f"{len(bad)} of {len(names)} images of {source} cannot be read and are left out: {_listed(bad)}; "
            f"of the first: {reason}",
        )
    if transparent:
        validation.warn(
            f"{len(transparent)} of {len(names)} images of {source} are not opaque, and are read as if they were: "
            f"{_listed(transparent)}; put them on a background first if that is not meant",
        )
    return ImageSet(images[: len(good)], _labels_of(good, names))


def _fitted(image: Any, size: int | None, crop: int | None, name: str) -> Any:
    """The centred square, resized."""
    width, height = image.size
    side = crop if crop is not None else (min(width, height) if size is not None else None)
    if side is not None:
        if not 1 <= side <= min(width, height):
            raise ValueError(f"crop must be between 1 and {min(width, height)}, the size of {name}, got {side}")
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if size is not None and image.size != (size, size):
        side = validation.positive_int("size", size)
        image = image.resize((side, side), pillow_image().Resampling.BILINEAR)
    return image


def _labels_of(good: list[str], names: list[str]) -> Tensor | None:
    """The number of each good image's class among those of all names, or None where one lies in no subfolder."""
    folder = {name: "/".join(PurePosixPath(name).parts[:-1][:1]) for name in names}
    if "" in folder.values():
        return None
    classes = {name: number for number, name in enumerate(sorted(set(folder.values())))}
    return torch.tensor([classes[folder[name]] for name in good])


def _listed(names: list[str]) -> str:
    return validation.listed(names, most=_NAMED)
