"""Imports of the optional libraries that readers need, with errors that name the extra."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def sklearn_datasets() -> Any:
    """The module ``sklearn.datasets``.

    Raises:
        ImportError: scikit-learn is not installed; the error names the extra.
    """
    return _imported("sklearn.datasets", "this data set comes from scikit-learn, which", "sklearn")


def pillow_image() -> Any:
    """The module ``PIL.Image``.

    Raises:
        ImportError: Pillow is not installed; the error names the extra.
    """
    return _imported("PIL.Image", "image files are read by Pillow, which", "images")


def _imported(module: str, what: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f'{what} is not installed; pip install "nflows-spread[{extra}]"') from error
