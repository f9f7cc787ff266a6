"""The folder that ``nflows-spread fit --out RUN`` leaves: the fitted estimator, what was fitted, some of its rows."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import shutil
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nflows_spread.cli.data_files import ReadOptions, Table, read_table
from nflows_spread.cli.estimator_files import unpickled
from nflows_spread.whole_files import remove_unfinished, whole_file

if TYPE_CHECKING:
    from nflows_spread.estimator import SpreadFlowEstimator

_ESTIMATOR, _FACTS, _ROWS, _UNFINISHED = "estimator.pickle", "run.json", "rows.npz", "unfinished"

_KEPT = 2_000
"""Rows that are kept for the report, at most: a choice, for its size."""


@dataclass(frozen=True)
class Facts:
    """What was fitted.

    Attributes:
        data: where the data was read from.
        rows: n.
        names: of the columns; None where they have none.
        reading: the options by which the data was read.
        item_shape: the shape of an entry.
        dimension: K.
        interval: of plausible dimensions.
        said: the warnings of the fit.
        version: of the package.
        estimator_digest: SHA-256 of the file of the estimator; None in runs of older versions.
    """

    data: str
    rows: int
    names: list[str] | None
    reading: dict[str, Any]
    item_shape: list[int]
    dimension: int
    interval: list[int]
    said: list[str]
    version: str
    estimator_digest: str | None = None

    @property
    def columns(self) -> list[str]:
        """The names of the columns, x1, x2, … where they have none."""
        return self.names or [f"x{number}" for number in range(1, math.prod(self.item_shape) + 1)]

    def read_alike(self, path: Path, *, key: str | None = None, drop_missing: bool = False) -> Table:
        """The rows of a file with the columns of the fit; less those with gaps where the fit or the caller says so."""
        grey = len(self.item_shape) == 3 and self.item_shape[0] == 1  # also where nobody said so
        options = ReadOptions(**self.reading)
        options = replace(options, grey=grey, drop_missing=options.drop_missing or drop_missing)
        return read_table(path, options.as_fitted(self.names, key))


def unfinished(folder: Path) -> Path:
    """Where a fit that is interrupted leaves its checkpoints."""
    return folder / _UNFINISHED


def check_new(folder: Path) -> None:
    """``FileExistsError`` if a run has been left there, or it is a file."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"--out must be a folder, got {folder}, which is a file; choose another name")
    if (folder / _ESTIMATOR).exists():
        raise FileExistsError(
            f"--out must be a new folder, got {folder}, which holds a run; choose another or delete it"
        )


def write_run(
    folder: Path, estimator: SpreadFlowEstimator, table: Table, data: Path, reading: ReadOptions, said: list[str]
) -> Facts:
    """Write all of it, the estimator last, so that a folder with one is whole."""
    dimension = estimator.intrinsic_dimension_
    facts = Facts(
        data=str(data),
        rows=len(table.rows),
        names=table.names,
        reading=asdict(reading),
        item_shape=list(table.item_shape),
        dimension=int(dimension),
        interval=list(dimension.interval),
        said=said,
        version=version("nflows-spread"),
    )
    chosen = np.random.default_rng(0).permutation(len(table.rows))[:_KEPT]
    kept: dict[str, Any] = {"rows": np.asarray(table.rows, dtype=np.float64)[chosen]}
    for name, column in table.left_out.items():
        values = np.asarray(column)[chosen]
        kept[f"column {name}"] = values if values.dtype.kind in "buif" else values.astype(str)
    pickled = pickle.dumps(estimator)
    content = asdict(replace(facts, estimator_digest=_digest(pickled)))
    text = json.dumps({**content, "digest": _digest_of_facts(content)}, indent=1, ensure_ascii=False)
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder)
    try:
        with whole_file(folder / _ROWS) as stream:
            np.savez_compressed(stream, **kept)
        for name, whole in ((_FACTS, text.encode()), (_ESTIMATOR, pickled)):
            with whole_file(folder / name) as stream:
                stream.write(whole)
    except BaseException:
        for name in (_ROWS, _FACTS, _ESTIMATOR):
            (folder / name).unlink(missing_ok=True)
        raise
    shutil.rmtree(unfinished(folder), ignore_errors=True)  # with what is left of fits of other settings
    return facts


def read_run(folder: Path) -> tuple[SpreadFlowEstimator, Facts]:
    """The estimator and what was fitted.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: it cannot be read.
    """
    if not (folder / _ESTIMATOR).exists():
        raise FileNotFoundError(f"RUN must be a folder that nflows-spread fit has left, got {folder}, which holds none")
    try:
        content = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        if content.pop("digest", None) not in (None, _digest_of_facts(content)):  # older versions wrote none
            raise ValueError(f"{_FACTS} is damaged: its checksum is wrong")
        facts = Facts(**content)
        pickled = (folder / _ESTIMATOR).read_bytes()
        if facts.estimator_digest not in (None, _digest(pickled)):
            raise ValueError(f"{_ESTIMATOR} is damaged: its checksum is wrong")
        estimator = unpickled(pickled)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # pickles that are damaged, or of other programs, raise anything
        raise _not_a_run(folder, str(error)) from error
    if not hasattr(estimator, "chart_"):
        raise _not_a_run(folder, f"{_ESTIMATOR} holds a {type(estimator).__name__}")
    return estimator, facts


def in_units_of_fit(estimator: SpreadFlowEstimator, rows: Any) -> Any:
    """Rows (n, D) in the units in which the fit measures distances: scaled columns where it standardizes."""
    values = np.asarray(rows, dtype=np.float64)
    return values / np.asarray(estimator.scale_) if estimator.standardize else values


def kept_rows(folder: Path) -> tuple[Any, dict[str, Any]]:
    """Up to 2 000 rows of the data, (n, D), and the columns that were left out, by name."""
    try:
        with np.load(folder / _ROWS, allow_pickle=False) as file:
            left_out = {name.removeprefix("column "): file[name] for name in file.files if name.startswith("column ")}
            return file["rows"], left_out
    except (FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:  # whatever readers of files raise that are not whole
        raise _not_a_run(folder, f"{_ROWS} cannot be read ({error})") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _digest_of_facts(content: dict[str, Any]) -> str:
    """Of what the file says, however it is spaced."""
    return _digest(json.dumps(content, sort_keys=True).encode())


def _not_a_run(folder: Path, reason: str) -> ValueError:
    return ValueError(f"RUN must hold a run of this or an older version, got {folder}: {reason}; fit again")
