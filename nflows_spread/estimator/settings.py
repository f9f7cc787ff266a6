"""Constructor arguments of ``SpreadFlowEstimator``: the check in ``fit``, and scikit-learn's parameter constraints."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.resumption import Resumption
from nflows_spread.estimator.training_device import checked_device

_LARGEST_SEED = 2**64 - 1
"""The largest seed of a generator, by torch's convention."""

_SEEDS_OF_A_STATE = 2**31 - 1
"""Seeds that are drawn from a ``RandomState``, by scikit-learn's convention."""


class Settings(NamedTuple):
    """The arguments of the constructor, checked.

    Attributes:
        recipe: the numbers of the training.
        generator: with the seed that was asked for.
        max_minutes: after which training stops, or None.
        progress: whether to show a bar.
        standardize: whether each column has a scale of its own.
        n_components: coordinates of the chart, or None.
        resumption: where checkpoints are left, or None.
        device: where to train.
    """

    recipe: Recipe
    generator: torch.Generator
    max_minutes: float | None
    progress: bool
    standardize: bool
    n_components: int | None
    resumption: Resumption | None
    device: torch.device


def checked_settings(given: Any, x: Tensor) -> Settings:
    """Those of an estimator that is fitted to rows.

    Args:
        given: what has them as attributes.
        x: the rows, (n, D).

    Raises:
        TypeError: one is of another type.
        ValueError: one is out of range.
    """
    recipe = Recipe() if given.recipe is None else given.recipe
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {type(recipe).__name__}; write Recipe(steps=...)")
    standardize = validation.switch("standardize", given.standardize)
    components = None if given.n_components is None else _components(given.n_components, *x.shape)
    device, resumption = checked_device(given.device), None
    if given.checkpoints is not None:
        own = (_folder(given.checkpoints), x, _fixed_seed(given.random_state), recipe, standardize, components, device)
        resumption = Resumption.of(*own)
    return Settings(
        recipe=recipe,
        generator=generator_of(given.random_state),
        max_minutes=None if given.max_minutes is None else _minutes(given.max_minutes),
        progress=validation.switch("progress", given.progress),
        standardize=standardize,
        n_components=components,
        resumption=resumption,
        device=device,
    )


def parameter_constraints() -> dict[str, list[Any]]:
    """The same as scikit-learn's tools read it from ``_parameter_constraints``; empty where it is not installed."""
    if find_spec("sklearn") is None:
        return {}
    interval = import_module("sklearn.utils._param_validation").Interval
    return {
        "random_state": [interval(Integral, 0, _LARGEST_SEED, closed="both"), np.random.RandomState, None],
        "recipe": [Recipe, None],
        "max_minutes": [interval(Real, 0, None, closed="neither"), None],
        "progress": ["boolean"],
        "standardize": ["boolean"],
        "n_components": [interval(Integral, 1, None, closed="left"), None],
        "checkpoints": [str, os.PathLike, None],
        "device": [str, torch.device, None],
    }


def generator_of(seed: Any) -> torch.Generator:
    """A new one with a seed, one drawn from a ``RandomState``, or a seed that nobody knows."""
    generator = torch.Generator()
    if seed is None:
        generator.seed()
        return generator
    if isinstance(seed, np.random.RandomState):
        return generator.manual_seed(int(seed.randint(_SEEDS_OF_A_STATE)))
    return generator.manual_seed(validation.seed("random_state", seed))


def _folder(value: Any) -> Path:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"checkpoints must be the path of a folder, got {value!r} of type {type(value).__name__}")
    return Path(value)


def _fixed_seed(value: Any) -> int:
    """The seed of a fit that can be made again."""
    if value is None or isinstance(value, np.random.RandomState):
        raise ValueError(
            f"random_state must be an integer where there are checkpoints, got {value!r}: a fit with another seed is "
            "another fit"
        )
    return validation.seed("random_state", value)


def _minutes(value: Any) -> float:
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"max_minutes must be a number of minutes, got {value!r} of type {type(value).__name__}")
    return validation.positive("max_minutes", float(value))


def _components(value: int, rows: int, features: int) -> int:
    """``n_components``, between 1 and the numbers of columns and of rows."""
    count = validation.positive_int("n_components", value)
    if count > min(rows, features):
        raise ValueError(
            f"n_components must be at most {min(rows, features)} for {rows} rows and {features} columns, got {count}"
        )
    return count
