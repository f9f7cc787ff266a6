"""A plain autoencoder: two perceptrons and the squared error, of the size of the estimator's chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from nflows_spread.estimator import Recipe
from nflows_spread.training import TrainingState, fit

_LEARNING_RATE = 1.6e-2
"""The largest; it rises and falls. Of 0.001, 0.002, 0.004 … 0.032, that of the least error in most of six trials on the
held-out manifolds of the intrinsic-dimension benchmark."""

_CHECKS, _FEWEST_STEPS = 25, 10
"""Looks at the held-out rows, and steps at least, as of the estimator's chart."""


class Autoencoder(nn.Module):
    """E‖x − d(e(x))‖²; ``model(x)`` is the loss, so that ``fit`` trains it.

    Args:
        features: D.
        rank: K, of the coordinates.
        hidden_features: widths of the hidden layers of e, and of d.
    """

    def __init__(self, features: int, rank: int, *, hidden_features: Sequence[int]) -> None:
        super().__init__()
        self.encoder = _net([features, *hidden_features, rank])
        self.decoder = _net([rank, *reversed(hidden_features), features])

    def forward(self, x: Tensor) -> Tensor:
        """The mean squared distance of rows (n, D) from their reconstructions."""
        return (self.decoder(self.encoder(x)) - x).square().sum(1).mean()

    @torch.no_grad()
    def coordinates(self, x: Tensor) -> Tensor:
        """e(x), (n, K)."""
        coordinates: Tensor = self.encoder(x)
        return coordinates

    @torch.no_grad()
    def points(self, coordinates: Tensor) -> Tensor:
        """d(c), (n, D)."""
        points: Tensor = self.decoder(coordinates)
        return points


def autoencoder(x: Tensor, rank: int, *, seed: int, recipe: Recipe | None = None) -> Autoencoder:
    """Train one with the widths, steps, batches and share of held-out rows of the chart of ``SpreadFlowEstimator``.

    Args:
        x: rows of unit scale, (n, D), float32.
        rank: K.
        seed: of the weights, the held-out rows and the order of the others.
        recipe: the numbers; by default the estimator's. The learning rate is this baseline's own.

    Returns:
        The model at that of 25 checks which has the least error on the held-out rows.
    """
    recipe = recipe or Recipe()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    held_out, train = x[order].tensor_split([max(1, round(recipe.validation_fraction * len(x)))])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(x.shape[1], rank, hidden_features=(recipe.chart_width,) * 3)
    steps = max(_FEWEST_STEPS, recipe.steps_of_chart)
    best, kept = math.inf, model.state_dict()

    def keep_the_best(state: TrainingState) -> None:
        nonlocal best, kept
        if state.step % max(1, steps // _CHECKS) == 0 or state.step == steps:
            with torch.no_grad():
                error = float(model(held_out))
            if error < best:
                best, kept = error, {name: value.clone() for name, value in model.state_dict().items()}

    fit(
        model,
        train,
        steps=steps,
        batch_size=min(recipe.batch_size, len(train)),
        learning_rate=_LEARNING_RATE,
        learning_rate_schedule=partial(OneCycleLR, max_lr=_LEARNING_RATE, total_steps=steps + 1),
        gradient_clip=recipe.gradient_clip,
        callbacks=[keep_the_best],
        generator=generator,
        progress=False,
        processes=1,
    )
    model.load_state_dict(kept)
    return model.eval()


def _net(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with SiLUs between them."""
    layers: list[nn.Module] = []
    for number, (m, n) in enumerate(pairwise(widths)):
        layers += [nn.SiLU()] if number > 0 else []
        layers.append(nn.Linear(m, n))
    return nn.Sequential(*layers)
