"""Read data files by their suffix: .npy, .npz, .csv, .tsv, .parquet, .h5ad, and folders or .zip files of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from nflows_spread import validation
from nflows_spread.arrays import number_of
from nflows_spread.cli.annotated_files import read_annotated
from nflows_spread.cli.array_files import read_npy, read_npz
from nflows_spread.cli.one_line_errors import readable
from nflows_spread.cli.text_tables import read_text
from nflows_spread.mapped_files import unshrunk

_KEYED = (".npz", ".h5ad")
"""Suffixes of files that hold several arrays."""

_REAL = "buif"
"""Kinds of dtypes that hold real numbers."""

WHITE = 255.0
"""The value of white in 8-bit images, by convention."""


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Attributes:
        columns: names of those that are taken; none for all.
        drop: names of those that are left out, or several of them with commas between.
        key: the array of an ``.npz`` file or the layer of an ``.h5ad`` file.
        drop_missing: whether rows with missing numbers are left out.
        image_size: height and width that images are resized to, or None.
        grey: whether images are read as grey levels; where nothing was fitted yet, those that are grey are in any case.
        fitted: whether the columns are those of a fit, which an array without names has in their order.
    """

    columns: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    key: str | None = None
    drop_missing: bool = False
    image_size: int | None = None
    grey: bool = False
    fitted: bool = False

    def as_fitted(self, names: Sequence[str] | None, key: str | None) -> ReadOptions:
        """Those by which the columns of a fit are taken from another file, if it has names.

        Args:
            names: of the columns of the fit; None where they had none.
            key: in place of that of the fit.
        """
        return replace(self, columns=tuple(names or ()), drop=(), key=self.key if key is None else key, fitted=True)


@dataclass(frozen=True)
class Table:
    """Rows of data.

    Attributes:
        rows: a NumPy array (n, D), or a pandas data frame where the columns have names.
        item_shape: the shape of an entry, (D,), or (channels, height, width) of an image and the like.
        left_out: columns that were not taken, by name, (n,) each.
    """

    rows: Any
    item_shape: tuple[int, ...]
    left_out: dict[str, Any]

    @property
    def names(self) -> list[str] | None:
        """Names of the columns, where they have some."""
        return [str(name) for name in self.rows.columns] if hasattr(self.rows, "columns") else None


def read_table(path: Path, options: ReadOptions) -> Table:
    """The rows of a file or folder.

    Raises:
        FileNotFoundError: there is none.
        ImportError: what reads it is not installed.
        ValueError: it is of another kind, or a column or array is not in it.
    """
    if not path.exists():
        raise FileNotFoundError(f"DATA must be a file or a folder of images, got {path}, which does not exist")
    images, suffix = path.is_dir() or path.suffix.lower() == ".zip", path.suffix.lower()
    if not options.fitted:  # whose options are those of another file
        if options.key is not None and (images or suffix not in _KEYED):
            raise ValueError(
                f"--key must be of a file that ends in {' or '.join(_KEYED)}, got {path.name}; leave it out"
            )
        if (options.grey or options.image_size is not None) and not images:
            raise ValueError(f"--grey and --image-size must be of images, got {path.name}; leave them out")
    if images:
        return _images(path, options)
    reader = READERS.get(suffix)
    if reader is None:
        raise ValueError(f"DATA must be a folder of images or end in {', '.join(READERS)} or .zip, got {path.name}")
    found = reader(path, options)
    return found if isinstance(found, Table) else _of_array(path, found, options)


def _of_array(path: Path, array: Any, options: ReadOptions) -> Table:
    if (options.columns or options.drop) and not options.fitted:
        raise ValueError(f"columns must have names to be chosen by, got {path.name}, which has none; leave the option")
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"{path.name} must hold a matrix, one row a point, got shape {array.shape}")
    rows = array if array.ndim == 2 else array.reshape(len(array), -1)
    if options.drop_missing and rows.dtype.kind in _REAL:
        with unshrunk("DATA", rows):
            rows = rows[_whole(path, rows, options)]
    return Table(rows, tuple(array.shape[1:]), {})


def _npy(path: Path, options: ReadOptions) -> Any:
    return read_npy(path)


def _npz(path: Path, options: ReadOptions) -> Any:
    return read_npz(path, options.key)


def _text(path: Path, options: ReadOptions) -> Table:
    found = read_text(path, _module("pandas", path), keep_unnamed=options.columns != ())
    return _of_frame(path, found, options) if hasattr(found, "columns") else _of_array(path, found, options)


def _parquet(path: Path, options: ReadOptions) -> Table:
    _module("pyarrow", path)
    with readable(path):
        frame = _module("pandas", path).read_parquet(path)
    return _of_frame(path, frame, options)


def _annotated(path: Path, options: ReadOptions) -> Table:
    pandas = _module("pandas", path)
    if find_spec("anndata") is None:
        raise _missing("anndata", path)
    data = read_annotated(path, options.key)
    found = _of_frame(path, pandas.DataFrame(data.rows, columns=data.names), options)
    kept = np.asarray(found.rows.index)  # less the rows with gaps
    return Table(found.rows, found.item_shape, {**found.left_out, **{k: v[kept] for k, v in data.beside.items()}})


def _of_frame(path: Path, frame: Any, options: ReadOptions) -> Table:
    frame.columns = [str(label) for label in frame.columns]
    known = list(frame.columns)
    if len(frame) == 0:
        raise ValueError(f"{path.name} must hold at least one row, got none below its {len(known)} names of columns")
    if len(set(known)) < len(known):
        twice = sorted({name for name in known if known.count(name) > 1})
        raise ValueError(f"columns of {path.name} must have different names, got several of {_listed(twice)}")
    drop = [name for given in options.drop for name in _names(given, known)]
    unknown = [name for name in (*options.columns, *drop) if name not in known]
    if unknown:
        raise ValueError(f"columns must be of {path.name}, {_listed(known)}, got {_listed(unknown)}")
    if len(set(options.columns)) < len(options.columns):
        raise ValueError(f"--columns must name a column once, got {_listed(options.columns)}")
    taken = [name for name in options.columns or known if name not in drop]
    if not taken:
        raise ValueError(f"some columns of {path.name} must be left, got --drop of all that are taken")
    text, told = [], []
    for name in (name for name in taken if frame[name].dtype.kind not in _REAL):
        numbers, place = _numbers_of(frame[name])
        if numbers is None:
            text.append(name)
            told.append(f"{name} ({frame[name].iloc[place]!s:.30} in row {place + 1})")
        else:
            frame = frame.assign(**{name: numbers})
    if text:
        raise ValueError(
            f"columns of {path.name} must hold numbers, got {_listed(told)}; mend these rows, or leave them out with "
            + " ".join(f"--drop {quote(name)}" for name in text[:3])
        )
    if options.drop_missing:
        values = frame[taken].to_numpy(dtype=np.float64, na_value=np.nan)
        frame = frame[_whole(path, values, options)]
    left_out = {name: frame[name] for name in known if name not in taken}
    return Table(frame[taken], (len(taken),), left_out)


def _names(given: str, known: Sequence[str]) -> list[str]:
    """A name of a column, which may have commas, or names with commas between."""
    return [given] if given in known else [name.strip() for name in given.split(",") if name.strip()]


def _numbers_of(column: Any) -> tuple[Any, int]:
    """The numbers that a column of objects holds, (n,), or None and the place of the first entry that is none."""
    found = np.empty(len(column))
    for place, entry in enumerate(column):
        try:
            found[place] = float(entry) if isinstance(entry, str) else number_of(entry)
        except (TypeError, ValueError):
            return None, place
    return found, 0


def _whole(path: Path, rows: Any, options: ReadOptions) -> Any:
    """Which rows have no missing and no infinite number, (n,); where results stand beside the data, with a word."""
    whole = np.isfinite(rows).all(axis=1)
    if options.fitted and not whole.all():
        gaps = len(whole) - int(whole.sum())
        validation.warn(f"{gaps} of {len(whole)} rows of {path.name} have missing numbers and are left out")
    return whole


def _images(path: Path, options: ReadOptions) -> Table:
    from nflows_spread.datasets import image_folder

    if (options.columns or options.drop) and not options.fitted:
        raise ValueError(f"images have no columns to choose, got {path.name}; leave the option")
    try:
        found = image_folder(path.resolve(), size=options.image_size, channels=1 if options.grey else 3)
    except ValueError as error:
        raise ValueError(str(error).replace("; give size=", "; give --image-size")) from error
    images = found.images.numpy()
    if (
        not options.fitted
        and images.shape[1] == 3
        and all((images[:, 0] == images[:, channel]).all() for channel in (1, 2))
    ):
        images = images[:, :1]  # grey, whatever the files have as their mode
    pixels = images.astype(np.float32) / np.float32(WHITE)
    left_out = {} if found.labels is None else {"class": found.labels.numpy()}
    return Table(pixels.reshape(len(pixels), -1), tuple(pixels.shape[1:]), left_out)


READERS: dict[str, Callable[[Path, ReadOptions], Any]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".csv": _text,
    ".tsv": _text,
    ".parquet": _parquet,
    ".h5ad": _annotated,
}
"""What reads a file, by its suffix."""


def _module(name: str, path: Path) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise _missing(name, path) from error


def _missing(name: str, path: Path) -> ImportError:
    extra = name if name == "anndata" else '"nflows-spread[cli]"'
    return ImportError(f"{path.suffix} files need {name}, which is not installed; pip install {extra}")


def _listed(names: Sequence[str]) -> str:
    return validation.listed(names)
