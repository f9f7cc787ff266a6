"""Which extra a module that cannot be imported is of: tests that need it are then skipped, with the reason."""

from __future__ import annotations

from importlib.util import find_spec

EXTRA_OF = {
    "lightning_fabric": "train",
    "click": "train",
    "sklearn": "sklearn",
    "PIL": "images",
    "pandas": "cli",
    "pyarrow": "cli",
    "matplotlib": "cli",
    "normflows": "normflows",
    "zuko": "zuko",
    "scipy": "bench",
    "skdim": "bench",
    "FrEIA": "bench",
    "torchmetrics": "bench",
    "mkdocs": "docs",
    "hatchling": "test",
    "hypothesis": "test",
    "mpmath": "test",
    "nox": "test",
    "polars": "test",
}
"""What tests and helpers import beyond the core and pytest: the extra in pyproject.toml that asks for it."""


def missing_extra(error: BaseException | None) -> str | None:
    """What is not installed, and where to get it, if that is why something could not be imported; None otherwise.

    A module that an installed library lacks, and one that no extra brings, are faults and no reasons to skip.
    """
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, ModuleNotFoundError) and (reason := _reason((error.name or "").split(".")[0])):
            return reason
        seen.append(error)
        error = error.__cause__ or error.__context__
    return None


def _reason(name: str) -> str | None:
    if name not in EXTRA_OF or _is_there(name):
        return None
    return f'needs {name}, of the extra {EXTRA_OF[name]}: pip install "nflows-spread[{EXTRA_OF[name]}]"'


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ImportError:
        return False
