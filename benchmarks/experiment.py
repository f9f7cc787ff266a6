"""What an experiment is: data, model and schedule, as a declaration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

from nflows.flows import Flow

import experiments
from tasks import Task


@dataclass(frozen=True)
class Variant:
    """One of the flows that an experiment compares.

    Attributes:
        name: in tables and pictures.
        spread: the paper's method, or the traditional flow: free scales and a fixed standard Gaussian.
        data_noise: σ_x at the start and at the end, in the place of the experiment's.
    """

    name: str
    spread: bool
    data_noise: tuple[float, float] | None = None


SPREAD = Variant("spread", spread=True)
FIXED_PRIOR = Variant("fixed prior", spread=False)
WITHOUT_NOISE = Variant("no noise", spread=True, data_noise=(0.0, 0.0))


@dataclass(frozen=True)
class Experiment:
    """One comparison of flows of the same architecture.

    Attributes:
        task: makes the data from a seed.
        flow: a builder of ``nflows_spread.models`` with its arguments but those that the variant decides.
        variants: the two flows that are compared, ours first.
        steps: training steps of each.
        batch_size: rows of a batch.
        learning_rate: of Adam at the start; it falls to a fiftieth along half a cosine.
        data_noise: σ_x at the start and at the end, in data units, geometric between them.
        spread_variance: σ_Z²; a hundredth of the final σ_x² leaves the data noise in charge.
        learn_mean: give the spread flow's prior a mean, for data whose offset the flow would have to remove.
        annealed: share of the steps after which σ_x has reached its end.
        gradient_clip: largest norm of the gradient.
        image_shape: (height, width) where a point is an image.
    """

    task: Callable[[int], Task]
    flow: Callable[..., Flow]
    variants: tuple[Variant, Variant] = (SPREAD, FIXED_PRIOR)
    steps: int = 6000
    batch_size: int = 200
    learning_rate: float = 2e-3
    data_noise: tuple[float, float] = (0.3, 0.05)
    spread_variance: float = 2.5e-5
    learn_mean: bool = False
    annealed: float = 0.7
    gradient_clip: float = 5.0
    image_shape: tuple[int, int] | None = None


def names() -> list[str]:
    """The experiments there are: the modules of ``experiments``."""
    return sorted(module.name for module in iter_modules(experiments.__path__))


def load(name: str) -> Experiment:
    """The declaration of an experiment.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in names():
        raise ValueError(f"experiment must be one of {', '.join(names())}, got {name!r}")
    experiment: Experiment = import_module(f"experiments.{name}").EXPERIMENT
    return experiment


def summary(name: str) -> str:
    """The first line of an experiment's docstring."""
    return (import_module(f"experiments.{name}").__doc__ or "").strip().splitlines()[0]
