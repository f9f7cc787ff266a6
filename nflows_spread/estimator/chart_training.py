"""Training of charts at K: autoencoders that start at principal or geodesic coordinates, and stop by held-out rows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from nflows_spread.chart.trustworthiness import trustworthiness_by_row
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.training_device import CPU, generator_on
from nflows_spread.linalg.geodesics import isomap
from nflows_spread.models.lifted import lifted_couplings
from nflows_spread.training import Geometric, TrainingState, fit
from nflows_spread.training.flat_adamw import FlatAdamW
from nflows_spread.training.randomness import drawing_from
from nflows_spread.transforms.lifted import LiftedCouplings

_GEODESIC_ROWS = 1000
"""Rows, at most, of which geodesic coordinates are made, which grow as n³: a choice, for a third of a second."""

TRUSTED = 0.99
"""Trustworthiness of principal components from which on a lifted flow starts at them, else at geodesic coordinates:
from trials on smooth sets, where they are above, and rolls, where they are below. Of geodesic coordinates it is that
below which a graph of half the neighbours is tried, too: on four of six rolls of two and a half turns and 450 or
900 rows, made for it, that has 0.04 to 0.10 more; in whole fits of 11 other sets errors fell by 6 % on average."""

_PRINCIPAL_FRACTION = 0.1
"""Share of the steps over which the weight of principal coordinates as targets falls to nothing. From trials on smooth
sets of five dimensions, where 0.6 left up to a third more."""

_NEIGHBOURS = 10
"""Neighbours of the trustworthiness, by convention; fewer in fewer than four times as many rows."""

_FEWEST_HALVED = 6
"""Neighbours of a graph that are halved, at the least: a choice, as fewer than three connect little."""

_CHECKS = 25
"""Times in a training that the error of held-out rows is looked at: a choice; the best of them is kept."""

_WARM_UP = 0.1
"""Share of the steps in which the learning rate rises. From the trials of ``Recipe.chart_rate``."""

_FEWEST_STEPS = 10
"""Steps of a training, at least: a choice; the rate rises and falls over them."""


@dataclass(frozen=True)
class ChartData:
    """Rows that charts are trained on, in units of the flow.

    Attributes:
        train: (n, D).
        held_out: (m, D), by whose error a training keeps its best.
        axes: principal axes of all rows, (D, K).
        scale: standard deviation along each, (K,).
        device: where to train on them; what is trained ends up on the CPU.
    """

    train: Tensor
    held_out: Tensor
    axes: Tensor
    scale: Tensor
    device: torch.device = CPU


class ReconstructionLoss(nn.Module):
    """E‖x − d(e(x + σ ε))‖², and the distance of coordinates from targets with a weight that falls to nothing.

    Args:
        couplings: encoder e and decoder d.
        data_noise: σ.
        generator: source of the noise.

    Attributes:
        data_noise: σ, which a schedule changes.
        target_weight: of the squared distance of the coordinates from their targets.
    """

    def __init__(self, couplings: LiftedCouplings, *, data_noise: float, generator: torch.Generator) -> None:
        super().__init__()
        self.couplings, self.data_noise, self.generator = couplings, data_noise, generator
        self.target_weight = 1.0

    def forward(self, x: Tensor, targets: Tensor | None = None) -> Tensor:
        """The loss of rows (n, D) and targets, (n, K + 1), whose last column is 1 for rows that have one, else 0."""
        noise = torch.empty_like(x).normal_(generator=self.generator)
        code = self.couplings.encoder(x + self.data_noise * noise)
        loss = (self.couplings.decoder(code) - x).square().sum(1).mean()
        if targets is not None and self.target_weight > 0.0:
            off = (code - targets[:, :-1]).square().sum(1) @ targets[:, -1]
            loss = loss + self.target_weight * off / targets[:, -1].sum().clamp_min(1.0)
        return loss

    @torch.no_grad()
    def error(self, x: Tensor) -> float:
        """The mean squared distance of rows from their reconstructions, without noise."""
        return float((self.couplings.decoder(self.couplings.encoder(x)) - x).square().sum(1).mean())


def lifted_flow_at(
    data: ChartData, recipe: Recipe, *, geodesic: bool, deadline: float, generator: torch.Generator
) -> LiftedCouplings:
    """Encoder and decoder with nets, which go from first coordinates on to the least error of reconstructions.

    Args:
        data: what to train on.
        recipe: its numbers.
        geodesic: start at geodesic coordinates; else at principal ones.
        deadline: when to stop, on the clock of ``time.monotonic``.
        generator: source of weights, noise and the order of rows.
    """
    widths = (recipe.chart_width,) * 3
    with drawing_from(generator):
        couplings = lifted_couplings(data.axes, encoder_features=widths, decoder_features=widths).to(data.axes)
    known = min(len(data.train), _GEODESIC_ROWS) if geodesic else len(data.train)
    targets = data.train.new_zeros(len(data.train), data.axes.shape[1] + 1)
    if geodesic:
        targets[:known, :-1] = geodesic_coordinates(
            data.train[:known], data.axes.shape[1], neighbours=recipe.chart_neighbours
        )
    else:
        targets[:, :-1] = data.train @ data.axes
    targets[:known, -1] = 1.0
    fraction = recipe.geodesic_fraction if geodesic else _PRINCIPAL_FRACTION
    _train(couplings, data, targets, fraction, recipe, deadline, generator)
    return couplings


def geodesic_coordinates(x: Tensor, rank: int, *, neighbours: int) -> Tensor:
    """Those of Isomap, (n, K); where these are not to be trusted, of half the neighbours if that is better.

    A graph of many neighbours has edges from one turn of a roll to the next, where its points are few. Rows that are
    repeated count once: the neighbours of each would be the others of its kind, and nothing else connected.
    """
    distinct, which = x.unique(dim=0, return_inverse=True)
    if len(distinct) < len(x):
        return geodesic_coordinates(distinct, rank, neighbours=neighbours)[which]
    found = isomap(x, rank, neighbours=neighbours)
    trusted = float(kept_neighbours(x, found, x, found).mean())
    if trusted >= TRUSTED or neighbours < _FEWEST_HALVED:
        return found
    other = isomap(x, rank, neighbours=neighbours // 2)
    return other if float(kept_neighbours(x, other, x, other).mean()) > trusted else found


def kept_neighbours(x: Tensor, coordinates: Tensor, among: Tensor, coordinates_among: Tensor) -> Tensor:
    """``trustworthiness_by_row`` with ten neighbours, or with fewer among few rows."""
    neighbours = max(1, min(_NEIGHBOURS, len(among) // 4))
    return trustworthiness_by_row(x, coordinates, among, coordinates_among, neighbours=neighbours)


def curved_decoder_at(
    data: ChartData, recipe: Recipe, *, deadline: float, generator: torch.Generator
) -> LiftedCouplings:
    """Principal components, and a decoder with a net. Arguments as for ``lifted_flow_at``."""
    with drawing_from(generator):
        couplings = lifted_couplings(
            data.axes, encoder_features=(), decoder_features=(recipe.chart_width,) * 3, scale=data.scale
        ).to(data.axes)
    _train(couplings, data, None, 0.0, recipe, deadline, generator)
    return couplings


def _train(
    couplings: LiftedCouplings,
    data: ChartData,
    targets: Tensor | None,
    fading_fraction: float,
    recipe: Recipe,
    deadline: float,
    generator: torch.Generator,
) -> None:
    """Train, and keep what has the least error on the held-out rows, in evaluation mode."""
    objective = ReconstructionLoss(
        couplings, data_noise=recipe.chart_first_noise, generator=generator_on(data.device, generator)
    )
    objective.to(data.device)
    held_out = data.held_out.to(data.device)
    steps, rate = max(_FEWEST_STEPS, recipe.steps_of_chart), recipe.chart_rate
    fading = max(1, int(fading_fraction * steps)) if targets is not None else 0
    every, best, kept = max(1, steps // _CHECKS), math.inf, couplings.state_dict()

    def after_step(state: TrainingState) -> None:
        nonlocal best, kept
        objective.target_weight = max(0.0, 1.0 - state.step / fading) if fading else 0.0
        if state.step % every == 0 or state.step == steps:
            error = objective.error(held_out)
            if error < best:
                best, kept = error, {name: value.clone() for name, value in couplings.state_dict().items()}

    left = (deadline - time.monotonic()) / 60.0
    if left > 0.0:
        trained = [parameter for parameter in objective.parameters() if parameter.requires_grad]
        optimizer = FlatAdamW([{"params": trained}], lr=rate)
        fit(
            objective,
            data.train if targets is None else (data.train, targets),
            steps=steps,
            batch_size=min(recipe.chart_batch_size, len(data.train)),
            optimizer=optimizer,
            learning_rate_schedule=partial(OneCycleLR, max_lr=rate, total_steps=steps + 1, pct_start=_WARM_UP),
            noise_schedule=Geometric(recipe.chart_first_noise, recipe.chart_last_noise, steps),
            gradient_clip=recipe.gradient_clip,
            max_minutes=None if left == math.inf else left,
            callbacks=[after_step],
            generator=generator,
            progress=False,
            processes=1,
        )
        optimizer.release()
    couplings.load_state_dict(kept)
    couplings.to(CPU).eval()
