"""What the extra ``sklearn`` brings, imported when it is wanted."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def sklearn_datasets() -> Any:
    """The module ``sklearn.datasets``.

    Raises:
        ImportError: scikit-learn is not installed; the error names the extra.
    """
    try:
        return import_module("sklearn.datasets")
    except ModuleNotFoundError as error:
        raise ImportError(
            'this data set comes from scikit-learn, which is not installed; pip install "nflows-spread[sklearn]"'
        ) from error
