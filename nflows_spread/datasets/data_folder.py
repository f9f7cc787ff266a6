"""The folder of data sets on disk (``NFLOWS_SPREAD_DATA``), and the error where files are missing from it."""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "NFLOWS_SPREAD_DATA"
"""The environment variable that names the folder of data sets on disk."""


def candidate_folders(folder: str | Path | None, name: str) -> list[Path]:
    """The folders to look into: the one given, or that of ``NFLOWS_SPREAD_DATA``, and its subfolder of this name."""
    given = folder if folder is not None else os.environ.get(DATA_VARIABLE)
    return [] if given is None else [Path(given), Path(given) / name]


def first_file(*candidates: Path) -> Path | None:
    """The first of these that is a file."""
    return next((path for path in candidates if path.is_file()), None)


def missing(data: str, expected: str, published: str, folder: str | Path | None) -> FileNotFoundError:
    """The error that says what is expected where, and where to get it."""
    given = folder if folder is not None else os.environ.get(DATA_VARIABLE)
    return FileNotFoundError(
        f"{data} must lie on disk as {expected}, got {'no folder' if given is None else given}; get the files from "
        f"{published} and name their folder, or set {DATA_VARIABLE}"
    )
