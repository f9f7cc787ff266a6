"""scikit-learn's interface of an estimator's settings, for ``clone`` and pipelines, without scikit-learn."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, TypeVar

Self = TypeVar("Self", bound="Parameters")


class Parameters:
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
        known = list(_settings_of(self))
        unknown = [name for name in params if name not in known]
        if unknown:
            raise ValueError(f"settings must be of {', '.join(known)}, got {', '.join(unknown)}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{name}={value!r}"
            for name, parameter in _settings_of(self).items()
            if (value := getattr(self, name)) is not parameter.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        utils = import_module("sklearn.utils")  # asked for by scikit-learn alone, so that it is there
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=False),
            transformer_tags=utils.TransformerTags(),
        )


def _settings_of(estimator: Parameters) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(type(estimator)).parameters)
