"""``NotFittedError``: scikit-learn's where that is installed, one of the same kind where it is not."""

from __future__ import annotations

from importlib import import_module
from typing import cast


class NotFittedError(ValueError, AttributeError):
    """What scikit-learn's class of this name is a subclass of too, where scikit-learn is not installed."""


def not_fitted_error() -> type[Exception]:
    """``sklearn.exceptions.NotFittedError``, or the class above; imported when raised, which takes a while."""
    try:
        return cast(type[Exception], import_module("sklearn.exceptions").NotFittedError)
    except ImportError:
        return NotFittedError
