"""Estimator base class where scikit-learn is not installed: ``get_params``, ``set_params``, ``fit_transform``."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, TypeVar

Self = TypeVar("Self", bound="EstimatorWithoutSklearn")


class EstimatorWithoutSklearn:
    """Settings that are keyword arguments of the constructor and attributes of the same name."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name.

        Args:
            deep: ignored, no setting is an estimator.
        """
        return {name: getattr(self, name) for name in _settings_of(self)}

    def set_params(self: Self, **params: Any) -> Self:
        """Change settings for the next ``fit``.

        Raises:
            ValueError: there is no setting of a name; then none is changed.
        """
        check_names(params, _settings_of(self))
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def set_output(self, *, transform: str | None = None) -> Any:
        """Ask for data frames from ``transform``, which scikit-learn makes.

        Raises:
            ImportError: always, as it is not installed.
        """
        raise ImportError(
            f"set_output needs scikit-learn, got transform={transform!r} without it; "
            "install nflows-spread[sklearn], or make a frame of what transform returns"
        )

    def fit_transform(self, X: Any, y: Any = None) -> Any:  # noqa: N803 - as scikit-learn calls it
        """``fit(X).transform(X)``."""
        own: Any = self
        return own.fit(X).transform(X)

    def __repr__(self) -> str:
        changed = [
            f"{name}={value!r}"
            for name, parameter in _settings_of(self).items()
            if (value := getattr(self, name)) is not parameter.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """``ValueError`` if some are names of no setting."""
    known = list(known)
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"settings must be of {', '.join(known)}, got {', '.join(unknown)}")


def _settings_of(estimator: EstimatorWithoutSklearn) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(type(estimator)).parameters)
