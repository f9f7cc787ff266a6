"""Train one flow of an experiment, or go on with a training that was interrupted."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from baselines.cef import FROM_PATCHES
from nflows_spread import (
    DegenerateGaussian,
    DegenerateGaussianMixture,
    SpreadKLLoss,
    base_of,
    encode,
    initialize,
    initialize_prior,
    swap_base,
)
from nflows_spread.training import (
    Callback,
    Checkpoints,
    LatePieces,
    NoiseSchedule,
    TrainingState,
    fit,
    parameter_groups,
)
from nflows_spread.training.curves import Curve
from nflows_spread.transforms import PrincipalRotation
from paper.settings import Settings
from paper.tracking import Recorder

_SECONDS_BETWEEN_LINES = 60.0
_POINTS_FOR_MEAN = 2000
_POINTS_FOR_DIRECTIONS = 20_000
_POINTS_FOR_ACTNORMS = 500


@dataclass(frozen=True)
class Trained:
    """A trained flow and what its training took.

    Attributes:
        flow: on the CPU, in evaluation mode.
        data_noise: σ_x at the end.
        steps: steps done.
        seconds: time of training, that before an interruption included.
        stopped: why training ended: ``"steps"`` or ``"max_minutes"``.
        tracked: by name, numbers that were recorded during training, as pairs (step, value).
    """

    flow: Flow
    data_noise: float
    steps: int
    seconds: float
    stopped: str = "steps"
    tracked: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)


def train(settings: Settings, x: Tensor, *, seed: int, device: str, max_minutes: float | None, folder: Path) -> Trained:
    """Train on points (n, ...). All variants get the same weights at the start, order of the data, and schedule.

    Args:
        settings: of this flow.
        x: the data.
        seed: of weights, order and noise.
        device: where to train.
        max_minutes: stop after so long.
        folder: for checkpoints; a training that is found there is continued.

    Raises:
        NotFiniteError: the loss is not finite.
    """
    rate, noise = settings.learning_rate.over(settings.steps), settings.data_noise.over(settings.steps)
    objective = _objective(settings, x[0].numel(), data_noise=noise(0), seed=seed, device=device)
    _initialize(settings, objective.flow, x[:_POINTS_FOR_DIRECTIONS].to(device), data_noise=noise(0), seed=seed)
    recorder = Recorder(settings.track, folder / "watched.jsonl", every=max(1, settings.steps // 200))
    callbacks: list[Callback] = [recorder] if settings.track else []
    if settings.pieces > 1 and settings.pieces_from > 0.0:
        parting = max(1, int(settings.pieces_from * settings.steps))
        generator = torch.Generator(device).manual_seed(seed + 1)  # held-out points have the noise of the seed itself
        callbacks.append(LatePieces(objective.flow, x.to(device), step=parting, generator=generator))
    result = fit(
        objective,
        x.to(device),
        steps=settings.steps,
        batch_size=settings.batch_size,
        learning_rate=rate(0),
        optimizer=_optimizer(objective, rate(0), settings.l2_penalty) if settings.l2_penalty else None,
        learning_rate_schedule=_relative(rate),
        noise_schedule=NoiseSchedule(objective, noise),
        gradient_clip=settings.gradient_clip,
        generator=torch.Generator().manual_seed(seed),
        max_minutes=max_minutes,
        processes=1,
        checkpoints=Checkpoints(folder, keep=1),
        resume=True,
        callbacks=callbacks if sys.stderr.isatty() else [*callbacks, _Line(settings.steps)],
    )
    flow, begun = objective.flow.cpu().eval(), time.perf_counter()
    if settings.refit and result.stopped == "steps":
        flow = _refitted(settings, flow, x, data_noise=objective.data_noise, seed=seed)
    return Trained(
        flow=flow,
        data_noise=objective.data_noise,
        steps=result.steps,
        seconds=result.seconds + time.perf_counter() - begun,
        stopped=result.stopped,
        tracked=recorder.series(),
    )


class _Line:
    """A line a minute for those who read a log; a terminal has a bar."""

    def __init__(self, steps: int) -> None:
        self._steps, self._last = steps, time.perf_counter()

    def __call__(self, state: TrainingState) -> None:
        if time.perf_counter() - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = time.perf_counter()
        print(f"  step {state.step} of {self._steps}, loss {state.loss:.3f}", file=sys.stderr, flush=True)


def _optimizer(objective: nn.Module, rate: float, l2_penalty: float) -> Optimizer:
    """Adam with an L2 penalty, as the paper has it, where ``fit`` would take the decoupled decay of AdamW."""
    return torch.optim.Adam(parameter_groups(objective, l2_penalty), lr=rate, weight_decay=0.0, fused=True)


def _relative(rate: Curve) -> Callable[[Optimizer], LambdaLR]:
    """The learning rate as torch wants it: a factor of the first one."""
    return lambda optimizer: LambdaLR(optimizer, lambda step: rate(step) / rate(0))


def _base(settings: Settings, features: int) -> Distribution:
    if settings.fixed_prior:
        return StandardNormal([settings.latent_features or features])
    if settings.pieces > 1:
        return DegenerateGaussianMixture(
            [features],
            settings.pieces,
            factor=settings.factor,
            tied=settings.tied,
            learn_mean=not settings.tied,
            spread_variance=settings.spread_variance,
        )
    return DegenerateGaussian(
        [features],
        spread_variance=settings.spread_variance,
        factor=settings.factor,
        learn_mean=settings.learn_mean,
    )


@torch.no_grad()
def _initialize(settings: Settings, flow: Flow, x: Tensor, *, data_noise: float, seed: int) -> None:
    """All first values that come from data: directions from many points, then the other layers, and then the prior.

    The prior's mean, where it has one, starts at that of the latents also where no layer is set from data: from 0 it
    moves a step of the optimizer at a time, while AAᵀ takes the offset for a direction of its own.
    """
    initialize(flow, x, only=PrincipalRotation)
    initialize(flow, x[:_POINTS_FOR_MEAN], only=FROM_PATCHES)
    base = base_of(flow)
    if isinstance(base, DegenerateGaussian) and base.loc is not None:
        base.loc.copy_(encode(flow, x[:_POINTS_FOR_MEAN]).mean(0))
    generator = torch.Generator(x.device).manual_seed(seed)
    some = x[:_POINTS_FOR_ACTNORMS]
    noisy = some + data_noise * torch.empty_like(some).normal_(generator=generator)
    wished = settings.start_prior or (settings.pieces > 1 and settings.pieces_from == 0.0)
    if (settings.start(flow, noisy) or wished) and isinstance(base, DegenerateGaussian | DegenerateGaussianMixture):
        initialize_prior(flow, x, data_noise=data_noise, generator=generator)


def _refitted(settings: Settings, flow: Flow, x: Tensor, *, data_noise: float, seed: int) -> Flow:
    """The flow with the prior that the settings name, fitted to the latents of all points at the final noise."""
    prior = _base(replace(settings, **settings.refit), x[0].numel())
    swapped = swap_base(flow, prior).eval()
    initialize_prior(swapped, x, data_noise=data_noise, generator=torch.Generator().manual_seed(seed))
    return swapped


def _objective(settings: Settings, features: int, *, data_noise: float, seed: int, device: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = settings.flow(
            volume_preserving=not settings.fixed_prior,
            base=_base(settings, features),
            generator=torch.Generator().manual_seed(seed),
        ).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    if settings.fixed_prior:
        return settings.loss(flow, data_noise=data_noise, generator=generator)
    return SpreadKLLoss(flow, data_noise=data_noise, entropy=settings.entropy, generator=generator)
