"""Annealed training of the estimator's flow: σ_x falls until the dimension is stable, then the flow settles."""

from __future__ import annotations

import copy
import math
import time

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LinearLR, LRScheduler, PolynomialLR

from nflows_spread import validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.estimator.recipe import Recipe, couplings_for, factor_for, width_for
from nflows_spread.estimator.resumption import Resumption
from nflows_spread.estimator.stable_dimension import StableDimension
from nflows_spread.estimator.training_device import CPU, generator_on
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.models import density_flow
from nflows_spread.training import Callback, Geometric, TrainingState, fit, parameter_groups
from nflows_spread.training.curves import Curve
from nflows_spread.training.flat_adamw import FlatAdamW
from nflows_spread.training.randomness import drawing_from
from nflows_spread.transforms import MarginalSpline

_ANNEALING, _SETTLING = "annealing", "settling"
"""The parts of the training, by the names of their checkpoints' folders."""

_OF_AMBIENT_NOISE = 1.0 / 3.0
"""σ_x at the end over the standard deviation of the data's noise, so that the two can be told apart. A choice."""

_LAST_RATE = 1.0 / 11.0
"""Learning rate at the end over that at the start: 1 − 1/1.1, as its line ends after 1.1 times the steps. A choice."""


def trained_by(
    recipe: Recipe,
    x: Tensor,
    *,
    nearest: float,
    generator: torch.Generator,
    stop: StableDimension | None = None,
    max_minutes: float | None = None,
    progress: bool = False,
    resumption: Resumption | None = None,
    device: torch.device = CPU,
) -> SpreadKLLoss:
    """A flow trained on data of unit scale by a recipe, within its objective, which knows the final σ_x.

    First the noise is annealed until it has reached its end or the dimension is stable, then the flow settles: σ_x goes
    on to its end where it is not there yet, and the learning rate falls on.

    Args:
        recipe: the numbers.
        x: rows to train on, (n, D).
        nearest: median distance of a row to its nearest neighbour.
        generator: source of the weights, the noise and the order of the rows.
        stop: whether the dimension is stable, asked from ``recipe.first_check`` on.
        max_minutes: stop after so long, with a warning.
        progress: show a bar.
        resumption: where checkpoints are left, and go on from; nowhere by default.
        device: where to train. The result is on the CPU.
    """
    began, allowed = time.monotonic(), math.inf if max_minutes is None else 60.0 * max_minutes
    end = min(recipe.last_noise, max(nearest, recipe.min_noise))
    objective = SpreadKLLoss(_flow(recipe, x, generator), data_noise=recipe.first_noise, generator=generator)
    objective.generator = generator_on(device, generator)
    objective.to(device)
    optimizer = _optimizer(recipe, objective)
    annealing = max(1, int(recipe.anneal_fraction * recipe.steps))
    settling = recipe.steps - annealing

    def check(state: TrainingState) -> None:
        since = state.step - recipe.first_check
        due = since >= 0 and since % recipe.check_every == 0 and state.step < annealing
        if stop is not None and due:
            if stop(objective if device == CPU else copy.deepcopy(objective).to(CPU)):
                state.stop_reason = "the dimension is stable"
            if resumption is not None:
                ended = None if state.stop_reason is None else state.step
                resumption.write_checks(stop.dimensions, stop.ambient_noise, ended=ended)

    def train(part: str, steps: int, noise: Curve, falling: LRScheduler, callbacks: list[Callback]) -> bool:
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
            checkpoints=None if resumption is None else resumption.checkpoints(part),
            resume=resumption is not None,
            processes=1,  # one array is one training, in whatever job this process is
        )
        return result.stopped != "max_minutes"

    rate = PolynomialLR(optimizer, total_iters=int(1.1 * recipe.steps))
    last = annealing
    if stop is not None and resumption is not None:
        done = resumption.steps_done(_ANNEALING)
        dimensions, ambient_noise, ended = resumption.read_checks()
        checks = max(0, 1 + (done - recipe.first_check) // recipe.check_every)
        stop.resume(dimensions[:checks], ambient_noise)
        if ended is not None and done >= ended:
            last = ended
    in_time = train(_ANNEALING, last, Geometric(recipe.first_noise, end, annealing), rate, [check])
    if stop is not None:
        end = max(end, _OF_AMBIENT_NOISE * stop.ambient_noise)
    now = objective.data_noise
    if settling > 0:
        ratio = recipe.learning_rate * _LAST_RATE / optimizer.param_groups[0]["lr"]
        settling_noise = Geometric(now, min(now, end), max(1, settling // 2))
        falling = LinearLR(optimizer, start_factor=1.0, end_factor=min(1.0, ratio), total_iters=settling)
        in_time = train(_SETTLING, settling, settling_noise, falling, []) and in_time
    optimizer.release()
    objective.to(CPU).generator = generator
    if not in_time:
        validation.warn(
            f"training stopped after max_minutes={max_minutes:g}, at σ_x = {objective.data_noise:.3g} of the data's "
            f"scale where the recipe ends at {end:.3g}; what is read off this flow is less sure, allow more minutes"
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


def _optimizer(recipe: Recipe, objective: SpreadKLLoss) -> FlatAdamW:
    """Adam with decay of all in the nets, none of the prior, and a faster rate of the splines."""
    rates: dict[type[nn.Module], float] = {MarginalSpline: recipe.spline_rate * recipe.learning_rate}
    groups = parameter_groups(objective, recipe.weight_decay, weights_alone=False, learning_rates=rates)
    return FlatAdamW(groups, lr=recipe.learning_rate)
