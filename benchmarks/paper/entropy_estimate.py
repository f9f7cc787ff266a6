"""The paper's estimate of the entropy (appendix B.4): recorded during training, and held against the truth.

The estimate is that of N Gaussians of variance σ_Z² around N latents in D dimensions. Whatever the latents, it
lies between D/2 · log 2πσ_Z², where all of them coincide, and log N above it, where no two are near each
other; there its gradient is 0. The pictures show it above that floor, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from nflows_spread import SpreadKLLoss, encode
from nflows_spread.linalg.entropy import kernel_negative_entropy
from nflows_spread.training import TrainingState
from paper.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_BATCH = 100
_MANY = 2000
_REPEATS = 50
_DIMENSIONS = (1, 2, 3, 5, 8)


@torch.no_grad()
def above_floor(state: TrainingState) -> float:
    """The estimate on the latents of the last batch, in nats above its floor."""
    objective = cast(SpreadKLLoss, state.objective)
    return _above_floor(encode(objective.flow, state.batch[0]).flatten(1), objective.base.spread_variance)


def responses(result: Result) -> dict[str, object]:
    """The estimate on a batch of 100 and on 2000 held-out latents of the trained flow, and how it answers to scale.

    ``entropy`` is in nats above the floor of the estimate. ``scale_response`` is d H / d log s for
    latents s · z: for a K-dimensional latent distribution that is wide against σ_Z the truth is K.
    """
    variance = torch.tensor(result.settings.spread_variance, dtype=torch.float64)
    batch, many = result.latents[:_BATCH], result.latents[:_MANY]
    return {
        "entropy": {f"of_{len(z)}": _above_floor(z, variance) for z in (batch, many)},
        "scale_response": {f"of_{len(z)}": scale_response(z, variance) for z in (batch, many)},
    }


def scale_response(latents: Tensor, spread_variance: Tensor) -> float:
    """d H / d log s of the estimate at s · z, s = 1, for latents (n, D)."""
    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)
    scaled = log_scale.exp() * latents.double()
    (slope,) = torch.autograd.grad(-kernel_negative_entropy(scaled, spread_variance), log_scale)
    return float(slope)


def share_of_gradient(dimension: int, *, spread_variance: float = 1e-4, seed: int = 0) -> float:
    """The response of the estimate to scale as a share of the true one, for batches of 100 points of N(0, I)."""
    generator = torch.Generator().manual_seed(seed)
    variance = torch.tensor(spread_variance, dtype=torch.float64)
    batches = torch.randn(_REPEATS, _BATCH, dimension, dtype=torch.float64, generator=generator)
    mean = sum(scale_response(batch, variance) for batch in batches) / _REPEATS
    return mean * (1.0 + spread_variance) / dimension


def curves(word: str, figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """Figure 11: the estimate during training, for the flows whose name begins with a word."""
    axes = figure.add_subplot(place)
    for result in results:
        if result.name.startswith(word):
            steps, values = zip(*result.trained.tracked["entropy"])
            axes.plot(steps, values, lw=1.2, label=result.name)
    _ceiling(axes)
    axes.set_xlabel("training step")
    axes.set_ylabel("nats above its floor")
    axes.set_title(f"{word}: estimated entropy")


def finding(figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """How much of the true gradient the estimate has, by dimension: why figure 11 cannot show a difference."""
    axes = figure.add_subplot(place)
    shares = [share_of_gradient(dimension) for dimension in _DIMENSIONS]
    axes.bar([str(dimension) for dimension in _DIMENSIONS], shares, color="#8a8a8a")
    for i, share in enumerate(shares):
        axes.text(i, share + 0.02, f"{share:.3f}", ha="center", fontsize=8)
    axes.axhline(1.0, c="k", lw=0.8, ls=":")
    axes.set_xlabel("K of N(0, I), batches of 100, σ_Z = 0.01")
    axes.set_title("its gradient / the true one")


def _above_floor(latents: Tensor, spread_variance: Tensor) -> float:
    floor = 0.5 * latents.shape[1] * math.log(2.0 * math.pi * float(spread_variance))
    return -float(kernel_negative_entropy(latents.double(), spread_variance)) - floor


def _ceiling(axes: Axes) -> None:
    axes.axhline(math.log(_BATCH), c="k", lw=0.8, ls=":", label="its ceiling, log N")
    axes.set_ylim(bottom=0.0)
    axes.legend(fontsize=7, framealpha=0.7, loc="lower right")
