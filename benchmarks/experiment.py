"""What an experiment is: data, model, schedule and comparison, as a declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nflows.flows import Flow
from torch import Tensor, nn

import measures as numbers
import pictures
from baselines.fixed_prior import NegativeLogLikelihood
from courses import Constant, Cosine, Course, Geometric
from measures import Measure
from nflows_spread import IntrinsicDimension, initialize
from nflows_spread.factors import Factor, LowerTriangularFactor
from nflows_spread.training import TrainingState
from pictures import Panel, Together
from tasks import Folders, Task

PROFILES = ("quick", "full", "paper")
Watch = Callable[[TrainingState], float]
_RATE = Cosine(2e-3, 4e-5)
_NOISE = Geometric(0.3, 0.05)


@dataclass(frozen=True)
class Variant:
    """One of the flows that an experiment compares.

    Attributes:
        name: in tables and pictures.
        changes: what it has otherwise than the experiment says, by the names of ``Experiment``'s attributes.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def also(self, changes: Mapping[str, Any]) -> Variant:
        """The same with further changes, such as the paper's learning rate for one data set."""
        return Variant(self.name, {**self.changes, **changes})


PAPER = Variant(
    "paper's setting",
    {"data_noise": Constant(0.0), "spread_variance": 1e-4, "learn_mean": False, "gradient_clip": None, "rule": "rank"},
)
OURS = Variant("our default")
FIXED_PRIOR = Variant("fixed prior", {"fixed_prior": True})


@dataclass(frozen=True)
class Experiment:
    """One comparison of flows.

    As it stands it is the profile ``quick``: minutes on two cores. ``profiles`` says what is different
    in ``full``, at most about an hour, and ``paper``, the paper's own schedule.

    Attributes:
        task: makes the data from a seed and the folders that it may use.
        flow: a builder of ``nflows_spread.models`` with its arguments but those that ``fixed_prior`` decides.
        variants: the flows that are compared, each with what it has otherwise.
        profiles: by name, what the other profiles have otherwise. A variant's changes come after these.
        fixed_prior: the traditional flow: free scales and a standard Gaussian.
        latent_features: K of a fixed prior that is told the dimension, or None for as many latents as data has.
        loss: what a flow with a fixed prior is trained by, given it, ``data_noise`` and ``generator``.
        start: gives a flow its first values from 500 noisy points and returns how many layers it set.
        steps: training steps.
        batch_size: rows of a batch.
        learning_rate: of Adam.
        l2_penalty: the paper's weight decay, through the gradient that Adam sees; of the nets' weights, never of A.
        data_noise: σ_x, in data units.
        spread_variance: σ_Z²; a hundredth of the final σ_x² leaves the data noise in charge.
        factor: the kind of factor of the prior.
        learn_mean: give the prior a mean, which starts at that of the latents, for data with an offset.
        entropy: add the paper's estimate of the negative entropy to the loss.
        gradient_clip: largest norm of the gradient, or None.
        rule: which rule decides the dimension that samples and representation are taken at.
        rank: at which samples and representation are taken, given the dimension; by default the dimension.
        samples: how many to draw from each flow.
        watch: numbers to follow during training, by name.
        measures: the numbers of a trained flow beyond those that every flow has.
        panels: the pictures of a flow, one row each.
        together: pictures of all flows in common, in a last row.
    """

    task: Callable[[int, Folders], Task]
    flow: Callable[..., Flow]
    variants: tuple[Variant, ...] = (PAPER, OURS, FIXED_PRIOR)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fixed_prior: bool = False
    latent_features: int | None = None
    loss: Callable[..., nn.Module] = NegativeLogLikelihood
    start: Callable[[Flow, Tensor], int] = initialize
    steps: int = 6000
    batch_size: int = 200
    learning_rate: Course = _RATE
    l2_penalty: float = 0.0
    data_noise: Course = _NOISE
    spread_variance: float = 2.5e-5
    factor: Callable[[int], Factor] = LowerTriangularFactor
    learn_mean: bool = False
    entropy: bool = False
    gradient_clip: float | None = 5.0
    rule: str = "signal_to_noise"
    rank: Callable[[IntrinsicDimension], int] = int
    samples: int = 20_000
    watch: Mapping[str, Watch] = field(default_factory=dict)
    measures: tuple[Measure, ...] = numbers.ON_MANIFOLD
    panels: tuple[Panel, ...] = pictures.ON_MANIFOLD
    together: tuple[Together, ...] = ()

    def at(self, profile: str) -> Experiment:
        """The same experiment at another profile.

        Raises:
            ValueError: there is no such profile.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        return replace(self, **self.profiles.get(profile, {}))

    def of(self, variant: Variant) -> Experiment:
        """The settings of one of the flows."""
        return replace(self, **variant.changes)

    @property
    def rows(self) -> int:
        """Rows of data that the schedule visits."""
        return self.steps * self.batch_size
