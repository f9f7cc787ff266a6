"""Training loops of toys, bound by Python and not by arithmetic: the sine's, and the S-curve from data to dimension.

``the plain loop`` is what the paper's algorithm looks like in nflows without this package: nflows' coupling with
centred scales, a net for the scales and one for the shifts, ``MultivariateNormal`` with autograd, Adam, and the loss
read at each step. ``fit`` is this package's loop around its own model of the same widths; ``a bare step`` the same
without a loop around it, on one fixed batch; ``fit, with everything`` has a noise schedule, clipping, a moving
average, a visible bar and a checkpoint.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from nflows.flows import Flow
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from nflows_spread import SpreadKLLoss, intrinsic_dimension
from nflows_spread.datasets import Sine
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, GeometricNoise, default_optimizer, fit
from paper import experiments
from paper.data_sets import Folders
from paper.experiment import OURS
from paper.training import train
from performance import targets
from performance.races import Race, Section, Step, Trial

NAME = "toys"
PLAIN, FIT, BARE, EVERYTHING = "the plain loop", "fit", "a bare step", "fit, with everything"
BATCH, ROWS, STEPS, SMALL_STEPS = 100, 10_000, 200, 5
DATA_NOISE = 0.05
SPREAD_VARIANCE = 1e-4
LEARNING_RATE = 3e-4


class TwoNets(nn.Module):
    """Separate nets for shift and scale, as the paper describes them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.shift, self.scale = (self._net(inputs, outputs // 2) for _ in range(2))

    @staticmethod
    def _net(inputs: int, outputs: int) -> nn.Module:
        widths = [inputs, *TABLE_1["hidden_features"]]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        return torch.cat([self.shift(inputs), self.scale(inputs)], dim=1)


class PlainCoupling(AffineCouplingTransform):
    """nflows' coupling with a centred scale in the place of its bounded one."""

    def _scale_and_shift(self, transform_params: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = transform_params.chunk(2, dim=1)
        return torch.exp(log_scale - log_scale.mean(dim=1, keepdim=True)), shift


class PlainPrior(nn.Module):
    """N(0, AAᵀ + σ_Z² I) by torch.distributions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.eye(features))

    def log_prob(self, z: Tensor) -> Tensor:
        a = self.a.tril()
        covariance = a @ a.T + SPREAD_VARIANCE * torch.eye(len(a))
        return MultivariateNormal(torch.zeros(len(a)), covariance).log_prob(z)


def data() -> Tensor:
    """Points of the sine."""
    return Sine().sample(ROWS, generator=torch.Generator().manual_seed(0)).x


def plain(steps: int) -> Step:
    """The paper's algorithm, written down."""
    torch.manual_seed(0)
    x, prior = data(), PlainPrior(2)
    transform = CompositeTransform([PlainCoupling(mask, TwoNets) for mask in ([0, 1], [1, 0])])
    flow = Flow(transform, distribution=prior)
    optimizer = torch.optim.Adam(flow.parameters(), lr=LEARNING_RATE)
    losses: list[float] = []

    def run() -> None:
        losses.clear()
        for _ in range(steps):
            batch = x[torch.randint(len(x), (BATCH,))]
            z = flow.transform_to_noise(batch + DATA_NOISE * torch.randn_like(batch))
            loss = -prior.log_prob(z + SPREAD_VARIANCE**0.5 * torch.randn_like(z)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())

    return run


def objective() -> SpreadKLLoss:
    """This package's model of table 1, with the same weights for everybody."""
    torch.manual_seed(0)
    return SpreadKLLoss(coupling_flow(**TABLE_1), data_noise=DATA_NOISE)


def bare(steps: int) -> Step:
    """Forward, backward and optimizer on one fixed batch."""
    loss, batch = objective(), data()[:BATCH]
    optimizer = default_optimizer(loss)

    def run() -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()

    return run


def fitted(steps: int) -> Step:
    """``fit`` with its defaults."""
    return partial(fit, objective(), data(), steps=steps, batch_size=BATCH, progress=False)


def fitted_with_everything(steps: int) -> Step:
    """``fit`` with all that it can do between steps."""
    loss, x = objective(), data()

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            fit(
                loss,
                x,
                steps=steps,
                batch_size=BATCH,
                noise_schedule=GeometricNoise(loss, start=0.3, end=DATA_NOISE, steps=steps),
                gradient_clip=10.0,
                average=0.999,
                checkpoints=Checkpoints(folder, every=steps),
                progress=True,
                processes=1,
            )

    return run


def races(small: bool) -> Sequence[Race]:
    """The sine's loops; one call is so many training steps."""
    steps = SMALL_STEPS if small else STEPS
    ways = {PLAIN: plain, FIT: fitted, BARE: bare, EVERYTHING: fitted_with_everything}
    return [
        Race(
            section=NAME,
            name=f"training loop, sine (table 1), batch {BATCH}",
            reference=PLAIN,
            contenders={name: partial(way, steps) for name, way in ways.items()},
            targets=targets.TOY_LOOP,
            repeats=steps,
        )
    ]


def s_curve(steps: int | None = None) -> Mapping[str, Any]:
    """The flow "our default" of ``run.py s_curve``, and the dimension that the default rule reads off it."""
    settings = experiments.load("s_curve").of(OURS)
    settings = settings if steps is None else replace(settings, steps=steps)
    with tempfile.TemporaryDirectory() as folder:
        data = settings.data(0, Folders(data=None, cache=Path(folder)))
        start = time.perf_counter()
        trained = train(settings, data.train.x, seed=0, device="cpu", max_minutes=None, folder=Path(folder) / "run")
        dimension = int(intrinsic_dimension(trained.flow, data.train.x))
    return {"seconds": time.perf_counter() - start, "steps": trained.steps, "dimension": dimension}


def trials(small: bool) -> Sequence[Trial]:
    """From data to dimension 2."""
    run = partial(s_curve, 5) if small else s_curve
    return [Trial(NAME, "S-curve, our default, from data to dimension", run, targets.S_CURVE_SECONDS, {"dimension": 2})]


SECTION = Section(NAME, races, trials=trials)
