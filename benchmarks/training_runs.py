"""Train one flow of an experiment: the spread flow, or the fixed-prior flow it is compared with."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.fixed_prior import NegativeLogLikelihood
from experiment import Experiment, Variant
from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.training import GeometricNoise, fit

_FINAL_RATE = 0.02


@dataclass(frozen=True)
class Trained:
    """A trained flow and what its training took.

    Attributes:
        flow: on the CPU, in evaluation mode.
        variant: which of the experiment's flows it is.
        data_noise: σ_x at the end.
        steps: steps done.
        seconds: time of training.
    """

    flow: Flow
    variant: Variant
    data_noise: float
    steps: int
    seconds: float


def train(
    experiment: Experiment, x: Tensor, *, variant: Variant, seed: int, device: str, max_minutes: float | None
) -> Trained:
    """Train on points (n, ...). All variants get the same weights at the start, order of the data, and schedule."""
    start, end = variant.data_noise or experiment.data_noise
    objective = _objective(experiment, variant, x[0].numel(), data_noise=start, seed=seed, device=device)
    annealed = max(1, int(experiment.annealed * experiment.steps))
    began = time.perf_counter()
    result = fit(
        objective,
        x.to(device),
        steps=experiment.steps,
        batch_size=experiment.batch_size,
        learning_rate=experiment.learning_rate,
        learning_rate_schedule=lambda optimizer: CosineAnnealingLR(
            optimizer, experiment.steps, eta_min=_FINAL_RATE * experiment.learning_rate
        ),
        noise_schedule=GeometricNoise(objective, start=start, end=end, steps=annealed) if start > 0.0 else None,
        gradient_clip=experiment.gradient_clip,
        generator=torch.Generator().manual_seed(seed),
        max_minutes=max_minutes,
    )
    return Trained(
        flow=objective.flow.cpu().eval(),
        variant=variant,
        data_noise=objective.data_noise,
        steps=result.steps,
        seconds=time.perf_counter() - began,
    )


def _base(experiment: Experiment, variant: Variant, features: int) -> Distribution:
    if variant.spread:
        return DegenerateGaussian(
            [features], spread_variance=experiment.spread_variance, learn_mean=experiment.learn_mean
        )
    return StandardNormal([features])


def _objective(
    experiment: Experiment, variant: Variant, features: int, *, data_noise: float, seed: int, device: str
) -> SpreadKLLoss | NegativeLogLikelihood:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = experiment.flow(
            volume_preserving=variant.spread,
            base=_base(experiment, variant, features),
            generator=torch.Generator().manual_seed(seed),
        ).to(device)
    loss = SpreadKLLoss if variant.spread else NegativeLogLikelihood
    return loss(flow, data_noise=data_noise, generator=torch.Generator(device).manual_seed(seed))
