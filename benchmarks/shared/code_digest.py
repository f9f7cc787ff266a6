"""Digests of the source that a result was made by: which records are stale, as code that they depend on has changed.

A digest is of the syntax tree without docstrings, so that a comment or a blank line makes nothing stale. Code is told
apart by folders, ``nflows_spread/linalg`` or ``benchmarks/paper``, of which a result depends on those that were loaded.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import nflows_spread

ROOT = Path(__file__).parents[2]
_INSTALLED = Path(nflows_spread.__file__).resolve().parents[1]
"""What holds the package, which may be installed elsewhere."""

_FOLDERS = ("nflows_spread", "benchmarks")
_LETTERS = 12
"""Of a digest: a choice, by which two are the same by chance once in 10^14."""


def loaded_code() -> dict[str, str]:
    """The digest of each folder of this repository that something was imported from, by its name."""
    files = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
    return {folder: digest_of(folder) for folder in sorted(set(filter(None, map(_folder_of, files))))}


def changed_code(made_by: Mapping[str, str]) -> list[str]:
    """Those of some folders whose code is not what it was, in order; a folder that is gone has changed."""
    return [folder for folder, digest in sorted(made_by.items()) if digest_of(folder) != digest]


def code_of(record: Mapping[str, Any]) -> dict[str, str] | None:
    """The digests in a record, of all of its runs the last one's; None in one from before there were any."""
    runs = record.get("runs") or [record]
    found: dict[str, str] | None = runs[-1].get("code")
    return found


@cache
def digest_of(folder: str) -> str:
    """Of all files of a folder of this repository, or of one file."""
    place = ROOT / folder
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place] if place.exists() else []
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.relative_to(ROOT).as_posix()}\n{_plain(file.read_text(encoding='utf-8'))}\n".encode())
    return whole.hexdigest()[:_LETTERS]


@cache  # of the thousands of files that torch and others bring, as links have to be followed to tell where one lies
def _folder_of(name: str) -> str | None:
    """``nflows_spread/linalg`` of a file in it, the file itself where it is in no folder of its own, else None."""
    file = Path(name).resolve()
    for root in (ROOT, _INSTALLED):
        if file.is_relative_to(root) and file.suffix == ".py":
            first, *rest = file.relative_to(root).parts
            if first in _FOLDERS and rest:
                return f"{first}/{rest[0]}"
    return None


def _plain(source: str) -> str:
    """The syntax tree of a file without docstrings, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    """A docstring, also one below a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
