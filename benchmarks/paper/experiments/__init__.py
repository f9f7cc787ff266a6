"""The experiments there are: one declarative file for each."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from paper.experiment import Experiment

IN_ORDER = (
    "sine",
    "line",
    "s_curve",
    "fading_square",
    "synthetic_mnist_5",
    "synthetic_mnist_10",
    "mnist",
    "celeba",
    "svhn",
    "cifar10",
    "digits",
)
"""As the paper has them; those that are about the method itself come after."""


def names() -> list[str]:
    """The experiments there are, the modules of this package, in the paper's order."""
    found = {module.name for module in iter_modules(__path__)}
    known = [name for name in IN_ORDER if name in found]
    return known + sorted(found - set(known))


def load(name: str) -> Experiment:
    """The declaration of an experiment.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in names():
        raise ValueError(f"experiment must be one of {', '.join(names())}, got {name!r}")
    experiment: Experiment = import_module(f"{__name__}.{name}").EXPERIMENT
    return experiment


def description(name: str) -> str:
    """An experiment's docstring: figure, what the paper reports, and what was found."""
    return (import_module(f"{__name__}.{name}").__doc__ or "").strip()


def summary(name: str) -> str:
    """The first line of it."""
    return description(name).splitlines()[0]
