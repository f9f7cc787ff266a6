"""Valid files of every kind that is read, damaged by a seed, and what becomes of them in a process of their own.

``python -m damaged_files "KIND|KIND" FIRST COUNT`` (with ``tests/helpers`` on the path) prints a line of JSON a case.
"""

from __future__ import annotations

import gzip
import io
import json
import pickle
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SECONDS, MEMORY = 60, 2**30
"""Of a read, at most, after which the process is ended; and beyond what the imported libraries take: choices."""

ROWS = np.random.default_rng(0).normal(size=(40, 3)).round(4)
PIXELS = np.random.default_rng(1).integers(0, 256, (12, 28, 28), dtype=np.uint8)
COLOURS = np.random.default_rng(2).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
HUGE = [0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]


class Kind(NamedTuple):
    """A kind of file.

    Attributes:
        name: of the file that is damaged.
        write: leaves all files of a data set in a folder.
        read: an array, of that folder and the path of the damaged file.
        sure: whether checksums of the format tell of every change, so that what is read is what was written.
        needs: a module that reads or writes it.
        share: of the seeds that are tried, the more the less a case takes.
    """

    name: str
    write: Callable[[Path], None]
    read: Callable[[Path, Path], Any]
    sure: bool = False
    needs: str = "numpy"
    share: float = 1.0


def _idx(folder: Path, *, packed: bool) -> None:
    for name, entries in (("t10k-images-idx3-ubyte", PIXELS), ("t10k-labels-idx1-ubyte", np.arange(12) % 10)):
        content = struct.pack(f">{1 + entries.ndim}I", 0x0800 + entries.ndim, *entries.shape)
        content += entries.astype(np.uint8).tobytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content)) if packed else (folder / name).write_bytes(content)


def _mat(folder: Path, *, packed: bool) -> None:
    import scipy.io

    entries = {"X": COLOURS.transpose(1, 2, 3, 0), "y": np.arange(12)[:, None] % 10 + 1}
    scipy.io.savemat(folder / "test_32x32.mat", entries, do_compression=packed)


def _batches(folder: Path) -> None:
    (folder / "cifar-10-batches-py").mkdir(exist_ok=True)
    content = {"data": COLOURS.transpose(0, 3, 1, 2).reshape(12, -1), "labels": [each % 10 for each in range(12)]}
    (folder / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps(content, protocol=2))


def _images(folder: Path, name: str, pixels: Any, **options: Any) -> None:
    from PIL import Image

    for place in (0, 1):  # the one that is damaged is read first
        Image.fromarray(pixels[place]).save(folder / f"{place}{name}", **options)


def _archive(folder: Path) -> None:
    from PIL import Image

    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for place in (0, 1, 2):
            file = io.BytesIO()
            Image.fromarray(COLOURS[place]).save(file, "PNG")
            archive.writestr(f"{place}.png", file.getvalue())


def _frame(folder: Path, name: str, **options: Any) -> None:
    import pandas

    frame = pandas.DataFrame(ROWS, columns=["length", "width", "height"])
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name, index=False, **options)
    else:
        frame.to_csv(folder / name, index=False, **options)


def _annotated(folder: Path) -> None:
    import anndata
    import pandas

    cells, names = ([f"{kind}{place}" for place in range(size)] for kind, size in zip("cx", ROWS.shape))
    tables = [pandas.DataFrame(index=pandas.Index(each, dtype=object)) for each in (cells, names)]
    with pandas.option_context("future.infer_string", False):  # texts that older readers know, too
        anndata.AnnData(X=ROWS, obs=tables[0], var=tables[1]).write_h5ad(folder / "data.h5ad")


def _table(folder: Path, path: Path) -> Any:
    from nflows_spread.cli.data_files import ReadOptions, read_table

    return np.asarray(read_table(path, ReadOptions()).rows, dtype=np.float64)


def _folder(folder: Path, path: Path) -> Any:
    from nflows_spread.datasets import image_folder

    return image_folder(folder, strict=True).images.numpy()


def _zipped(folder: Path, path: Path) -> Any:
    from nflows_spread.datasets import image_folder

    return image_folder(path).images.numpy()


def _set(name: str) -> Callable[[Path, Path], Any]:
    def read(folder: Path, path: Path) -> Any:
        from nflows_spread import datasets

        return getattr(datasets, name)(folder, split="test")[0].numpy()

    return read


def _image(suffix: str, pixels: Any = COLOURS, **options: Any) -> Kind:
    return Kind(f"0{suffix}", lambda folder: _images(folder, suffix, pixels, **options), _folder, needs="PIL")


KINDS = {
    "idx": Kind("t10k-images-idx3-ubyte", lambda folder: _idx(folder, packed=False), _set("mnist")),
    "idx labels": Kind("t10k-labels-idx1-ubyte", lambda folder: _idx(folder, packed=False), _set("mnist")),
    "idx.gz": Kind("t10k-images-idx3-ubyte.gz", lambda folder: _idx(folder, packed=True), _set("mnist"), sure=True),
    "mat": Kind("test_32x32.mat", lambda folder: _mat(folder, packed=False), _set("svhn"), needs="scipy"),
    "mat, packed": Kind("test_32x32.mat", lambda folder: _mat(folder, packed=True), _set("svhn"), needs="scipy"),
    "pickled batch": Kind("cifar-10-batches-py/test_batch", _batches, _set("cifar10")),
    "npy": Kind("data.npy", lambda folder: np.save(folder / "data.npy", ROWS), _table),
    "npz": Kind("data.npz", lambda folder: np.savez(folder / "data.npz", rows=ROWS), _table, sure=True),
    "npz, packed": Kind(
        "data.npz", lambda folder: np.savez_compressed(folder / "data.npz", rows=ROWS), _table, sure=True
    ),
    "csv": Kind("data.csv", lambda folder: _frame(folder, "data.csv"), _table, needs="pandas"),
    "csv, 16 bits": Kind(
        "data.csv", lambda folder: _frame(folder, "data.csv", encoding="utf-16"), _table, needs="pandas"
    ),
    "tsv": Kind("data.tsv", lambda folder: _frame(folder, "data.tsv", sep="\t"), _table, needs="pandas"),
    "parquet": Kind("data.parquet", lambda folder: _frame(folder, "data.parquet"), _table, needs="pyarrow"),
    "h5ad": Kind("data.h5ad", _annotated, _table, needs="anndata", share=0.1),
    "png": _image(".png"),
    "png, 16 bits": _image(".png", PIXELS.astype(np.uint16) * 257),
    "jpeg": _image(".jpg"),
    "tiff": _image(".tif"),
    "tiff, packed": _image(".tif", compression="tiff_lzw"),
    "gif": _image(".gif"),
    "webp": _image(".webp"),
    "bmp": _image(".bmp"),
    "ppm": _image(".ppm"),
    "zip of images": Kind("images.zip", _archive, _zipped, needs="PIL"),
}
"""All kinds of files that the package reads."""


def available() -> list[str]:
    """Those whose libraries are installed."""
    return [name for name, kind in KINDS.items() if find_spec(kind.needs)]


def cases_of(name: str, count: int) -> int:
    """How many of so many seeds are tried of a kind."""
    return max(1, round(KINDS[name].share * count))


def damaged(content: bytes, generator: np.random.Generator) -> bytes:
    """The content of a file, damaged in one of seven ways."""
    size, way = len(content), int(generator.integers(7))
    place = int(generator.integers(size))
    if way == 0:
        return content[:place]
    found = bytearray(content)
    if way in (1, 2):  # bits, anywhere or in the header
        for _ in range(int(generator.integers(1, 9))):
            found[int(generator.integers(size if way == 1 else min(size, 256)))] ^= 1 << int(generator.integers(8))
    elif way == 3:  # a number in the header or, of archives and Parquet, in the directory at the end
        width, order = int(generator.choice([1, 2, 4, 8])), str(generator.choice(["little", "big"]))
        number = HUGE[int(generator.integers(len(HUGE)))] % 256**width
        start = int(generator.integers(min(size, 512)))
        start = start if generator.integers(2) else max(0, size - start - width)
        found[start : start + width] = number.to_bytes(width, order)
    elif way == 4:  # numbers written out
        digits = list(re.finditer(rb"\d+", content[:256]))
        if digits:
            one = digits[int(generator.integers(len(digits)))]
            found[one.start() : one.end()] = b"9" * (one.end() - one.start())
    else:
        length = int(generator.integers(1, 65))
        part = generator.bytes(length) if way == 5 else content[place : place + length] * int(generator.integers(3))
        found[place : place + length] = part
    return bytes(found)


def outcome(name: str, seed: int, folder: Path, whole: Any) -> dict[str, Any]:
    """What a damaged file of a kind is read as: ``same``, ``other``, or an error with all that is wrong with it."""
    kind = KINDS[name]
    kind.write(folder)
    path = folder / kind.name
    generator = np.random.default_rng([seed, list(KINDS).index(name)])
    path.write_bytes(damaged(path.read_bytes(), generator))
    began, found = time.monotonic(), {"kind": name, "seed": seed, "wrong": ""}
    signal.alarm(SECONDS)  # without a handler, so that it ends a process that hangs in C, too
    try:
        rows = kind.read(folder, path)
    except (ValueError, OSError) as error:
        said = str(error)
        found |= {"got": type(error).__name__, "said": said[:300]}
        if path.name not in said and folder.name not in said:
            found["wrong"] = "the error does not name the file"
        if isinstance(error.__cause__, MemoryError):
            found["got"] = "memory"
    except Exception as error:
        found |= {"got": type(error).__name__, "said": str(error)[:300], "wrong": "an error of another kind"}
    else:
        found["got"] = "same" if rows.shape == whole.shape and np.array_equal(rows, whole) else "other"
        if kind.sure and found["got"] == "other":
            found["wrong"] = "checksums do not hold"
    signal.alarm(0)
    return {**found, "seconds": round(time.monotonic() - began, 3)}


def read_all(names: list[str], first: int, count: int) -> None:
    """Print the outcome of so many seeds of each kind; before each, what is about to be read."""
    import torch  # noqa: F401 - before memory is limited

    warnings.simplefilter("ignore")
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            KINDS[name].write(Path(place))
            whole = KINDS[name].read(Path(place), Path(place) / KINDS[name].name)
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        for seed in range(first, first + cases_of(name, count)):
            with tempfile.TemporaryDirectory() as place:
                print(json.dumps({"kind": name, "seed": seed, "got": "about to be read"}), flush=True)
                print(json.dumps(outcome(name, seed, Path(place), whole)), flush=True)


if __name__ == "__main__":
    read_all(sys.argv[1].split("|"), int(sys.argv[2]), int(sys.argv[3]))
