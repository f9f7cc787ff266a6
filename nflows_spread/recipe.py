"""How the estimator trains: a flow's size, its noise and its steps, chosen from the data and from nothing else."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, PolynomialLR

from nflows_spread import validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.factors import Factor, LowerTriangularFactor, SpreadCholeskyFactor
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.models import density_flow
from nflows_spread.training import Callback, GeometricNoise, TrainingState, fit, parameter_groups
from nflows_spread.training.randomness import drawing_from
from nflows_spread.transforms import MarginalSpline

_OF_THICKNESS = 1.0 / 3.0
"""σ_x at the end over the thickness of the data's noise, which it must be able to tell from its own."""

_LAST_RATE = 1.0 / 11.0
"""The learning rate at the end over that at the start."""

_LARGEST_DENSE = 512
"""The number of features up to which the prior's factor is the paper's A."""


_COUNTS = ("bins", "steps", "first_look", "look_every", "looks", "batch_size")
_POSITIVE = (
    *("learning_rate", "spline_rate", "gradient_clip", "spread_variance"),
    *("first_noise", "last_noise", "least_noise"),
)


@dataclass(frozen=True)
class Recipe:
    """The numbers of the default recipe. Lengths are in units of the data's scale, its root mean variance a feature.

    Attributes:
        layers: couplings, or None for ``couplings_for`` the data.
        hidden_features: width of the two hidden layers of their nets, or None for ``width_for`` the data.
        bins: of each feature's spline.
        steps: of the annealing and the settling together, at most.
        annealed: share of the steps after which σ_x has reached its end, if nobody stops the annealing before.
        first_look: step of the first look at the verdict while annealing.
        look_every: steps between looks.
        looks: in a row that find the same verdict and so end the annealing. The settling that follows takes σ_x to its
            end in its first half, and the learning rate down.
        batch_size: rows a step.
        learning_rate: of Adam at the start; it falls to nothing along a straight line.
        spline_rate: by how much the splines learn faster.
        weight_decay: of the nets' weights; it keeps 2 000 points in 20 dimensions from being learned by heart.
        first_noise: σ_x at the start.
        last_noise: σ_x at the end, or the median distance to the nearest neighbour where that is smaller.
        least_noise: σ_x never falls below.
        spread_variance: σ_Z², far below all else in latents of unit scale.
        held_out: share of the rows kept for the density's read-out, which memory would flatter.
        gradient_clip: largest norm of the gradient.

    Raises:
        TypeError: a count is no integer.
        ValueError: a number is out of range.
    """

    layers: int | None = None
    hidden_features: int | None = None
    bins: int = 32
    steps: int = 2000
    annealed: float = 0.8
    first_look: int = 400
    look_every: int = 200
    looks: int = 3
    batch_size: int = 200
    learning_rate: float = 1e-3
    spline_rate: float = 5.0
    weight_decay: float = 1.0
    first_noise: float = 0.5
    last_noise: float = 0.01
    least_noise: float = 0.003
    spread_variance: float = 1e-6
    held_out: float = 0.1
    gradient_clip: float = 5.0

    def __post_init__(self) -> None:
        for name in _COUNTS:
            validation.positive_int(name, getattr(self, name))
        for name in ("layers", "hidden_features"):
            if getattr(self, name) is not None:
                validation.positive_int(name, getattr(self, name))
        for name in _POSITIVE:
            validation.positive(name, getattr(self, name))
        validation.non_negative("weight_decay", self.weight_decay)
        validation.share("annealed", self.annealed)
        if validation.share("held_out", self.held_out) == 1.0:
            raise ValueError("held_out must be below 1, got 1.0: no row would be left to train on")


def width_for(rows: int) -> int:
    """The width of the nets' hidden layers for so many rows of data: a 28th, in eights, from 16 to 128.

    So a net has fewer weights than the data has numbers, whatever the number of features: its first and last layer are
    as wide as they are many. A wider one learns 500 points by heart.
    """
    return min(128, max(16, 8 * round(rows / 224)))


def couplings_for(features: int) -> int:
    """The number of couplings for so many features: six, and as many more as twelve over the features.

    A coupling moves half of the features by what the other half tells. Of three that is one by two or two by one, and a
    helix, a roll or a knot takes ten of them; in many features more couplings change no verdict.
    """
    return 6 + round(12 / features)


def factor_for(features: int) -> Callable[[int], Factor]:
    """The kind of the prior's factor for so many features: the paper's A up to 512, then the spread Cholesky factor.

    A's step costs a decomposition, which grows as D³. The other's needs none and has the same optimum: a whole step of
    200 rows took as long at 256 features, 1.6 to 1.8 times less at 512 and four times less at 2 000.
    """
    return LowerTriangularFactor if features <= _LARGEST_DENSE else SpreadCholeskyFactor


class Watch(Protocol):
    """Looks at an objective while it is trained; ``thickness`` is that of the data's noise in its last look, or 0."""

    thickness: float

    def __call__(self, objective: SpreadKLLoss) -> bool:
        """Whether to end the annealing."""


def trained_by(
    recipe: Recipe,
    x: Tensor,
    *,
    nearest: float,
    generator: torch.Generator,
    watch: Watch | None = None,
    max_minutes: float | None = None,
    progress: bool = False,
) -> SpreadKLLoss:
    """A flow trained on data of unit scale by a recipe, within its objective, which knows the final σ_x.

    First the noise is annealed until it has reached its end or the watch says so, then the flow settles: σ_x goes
    on to its end where it is not there yet, and the learning rate falls on.

    Args:
        recipe: the numbers.
        x: rows to train on, (n, D).
        nearest: median distance of a row to its nearest neighbour.
        generator: source of the weights, the noise and the order of the rows.
        watch: asked from time to time.
        max_minutes: stop after so long, with a warning.
        progress: show a bar.
    """
    began, allowed = time.monotonic(), math.inf if max_minutes is None else 60.0 * max_minutes
    end = min(recipe.last_noise, max(nearest, recipe.least_noise))
    objective = SpreadKLLoss(_flow(recipe, x, generator), data_noise=recipe.first_noise, generator=generator)
    optimizer = _optimizer(recipe, objective)
    annealing = max(1, int(recipe.annealed * recipe.steps))
    settling = recipe.steps - annealing

    def look(state: TrainingState) -> None:
        due = recipe.first_look <= state.step < annealing and (state.step - recipe.first_look) % recipe.look_every == 0
        if watch is not None and due and watch(objective):
            state.stop_reason = "the verdict is stable"

    def train(steps: int, noise: GeometricNoise, falling: LRScheduler, callbacks: list[Callback]) -> bool:
        """Whether there was time for it."""
        left = allowed - (time.monotonic() - began)
        if left <= 0.0:
            return False
        result = fit(
            objective,
            x,
            steps=steps,
            batch_size=min(recipe.batch_size, len(x)),
            optimizer=optimizer,
            learning_rate_schedule=falling,
            noise_schedule=noise,
            gradient_clip=recipe.gradient_clip,
            max_minutes=None if left == math.inf else left / 60.0,
            callbacks=callbacks,
            generator=generator,
            progress=progress,
            processes=1,  # one array is one training, in whatever job this process is
        )
        return result.stopped != "max_minutes"

    rate = PolynomialLR(optimizer, total_iters=int(1.1 * recipe.steps))
    annealing_noise = GeometricNoise(objective, start=recipe.first_noise, end=end, steps=annealing)
    in_time = train(annealing, annealing_noise, rate, [look])
    if watch is not None:
        end = max(end, _OF_THICKNESS * watch.thickness)
    now = objective.data_noise
    if settling > 0:
        ratio = recipe.learning_rate * _LAST_RATE / optimizer.param_groups[0]["lr"]
        settling_noise = GeometricNoise(objective, start=now, end=min(now, end), steps=max(1, settling // 2))
        falling = LinearLR(optimizer, start_factor=1.0, end_factor=min(1.0, ratio), total_iters=settling)
        in_time = train(settling, settling_noise, falling, []) and in_time
    if not in_time:
        warnings.warn(
            f"training stopped after max_minutes={max_minutes:g}, at σ_x = {objective.data_noise:.3g} of the data's "
            f"scale where the recipe ends at {end:.3g}; what is read off this flow is less sure, allow more minutes",
            stacklevel=2,
        )
    return objective.eval()


def _flow(recipe: Recipe, x: Tensor, generator: torch.Generator) -> nn.Module:
    width = width_for(len(x)) if recipe.hidden_features is None else recipe.hidden_features
    layers = couplings_for(x.shape[1]) if recipe.layers is None else recipe.layers
    with drawing_from(generator):
        flow = density_flow(
            x,
            layers=layers,
            hidden_features=(width, width),
            bins=recipe.bins,
            base=DegenerateGaussian(
                [x.shape[1]], spread_variance=recipe.spread_variance, factor=factor_for(x.shape[1])
            ),
            generator=generator,
        )
    return flow.to(x.dtype)  # whatever torch's default dtype is


def _optimizer(recipe: Recipe, objective: SpreadKLLoss) -> Optimizer:
    """Adam with decay of all in the nets, none of the prior, and a faster rate of the splines."""
    rates: dict[type[nn.Module], float] = {MarginalSpline: recipe.spline_rate * recipe.learning_rate}
    groups = parameter_groups(objective, recipe.weight_decay, weights_alone=False, learning_rates=rates)
    return AdamW(groups, lr=recipe.learning_rate, weight_decay=0.0, fused=True)
