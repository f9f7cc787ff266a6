"""Read .h5ad files in a process of their own, as HDF5 ends a process in which it reads damaged ones.

``python -m nflows_spread.cli.annotated_files PATH KEY FOLDER`` is that process, and FOLDER has then what it read.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

_REFUSED = 3
"""Exit status of the process where it says what is wrong: a choice, other than Python's own 1 and 2."""

_ROWS, _BESIDE = "rows.npy", "beside.pickle"


class Annotated(NamedTuple):
    """What is read of a file.

    Attributes:
        rows: (n, D).
        names: of the columns.
        beside: what is known of the rows beside that, by name, (n,) each.
    """

    rows: Any
    names: list[str]
    beside: dict[str, Any]


def read_annotated(path: Path, key: str | None) -> Annotated:
    """The cells of a file: of ``X``, or of a layer or an embedding.

    Raises:
        ValueError: it is damaged, or there is no such layer.
    """
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, str(path.resolve()), "" if key is None else key, folder]
        places = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONSAFEPATH": "1"}
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=places, check=False)
        if done.returncode == _REFUSED:
            raise ValueError(done.stdout.strip())
        if done.returncode != 0:
            number = -done.returncode
            how = signal.Signals(number).name if number in set(signal.Signals) else f"status {done.returncode}"
            said = "".join(f", {line}" for line in done.stderr.strip().splitlines()[-1:])
            raise ValueError(f"{path.name} cannot be read as .h5ad: its reader ended by {how}{said}; save it again")
        names, beside = pickle.loads((Path(folder) / _BESIDE).read_bytes())  # of that process, and so trusted
        return Annotated(np.load(Path(folder) / _ROWS), names, beside)


def _main(arguments: Sequence[str]) -> int:
    path, key, folder = Path(arguments[0]), arguments[1] or None, Path(arguments[2])
    try:
        found = _read(path, key)
    except Exception as error:  # damaged files make the libraries raise anything
        told = isinstance(error, _KeyNeededError)
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        print(error if told else f"{path.name} cannot be read as .h5ad: {error}; save it again")
        return _REFUSED
    np.save(folder / _ROWS, found.rows)
    (folder / _BESIDE).write_bytes(pickle.dumps((found.names, found.beside)))
    return 0


class _KeyNeededError(ValueError):
    """There is no such layer, which the user can mend."""


def _read(path: Path, key: str | None) -> Annotated:
    data = import_module("anndata").read_h5ad(path)
    known = [*data.layers, *data.obsm]
    if key is None:
        if data.X is None:
            raise _KeyNeededError(
                f"--key must name a layer or an embedding of {path.name}, which has no X, {', '.join(known)}"
            )
        matrix, names = data.X, list(map(str, data.var_names))
    elif key in known:
        layer = key in data.layers
        matrix = data.layers[key] if layer else data.obsm[key]
        names = list(map(str, data.var_names)) if layer else [f"{key}_{place}" for place in range(matrix.shape[1])]
    else:
        raise _KeyNeededError(f"--key must be a layer or an embedding of {path.name}, {', '.join(known)}, got {key}")
    rows = matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
    return Annotated(rows, names, {str(name): data.obs[name].to_numpy() for name in data.obs})


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
