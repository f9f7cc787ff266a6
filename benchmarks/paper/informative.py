"""GIN's question, which dimensions are informative given labels: its set of ten, trained with labels and without."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.gin import DATA_NOISE, LabelledGaussian, gin
from baselines.ten_dimensions import LabelledRows, ten_dimensions
from nflows_spread import (
    DegenerateGaussianMixture,
    InformativeDimensions,
    base_of,
    dimension_of,
    informative_dimensions,
    intrinsic_dimension,
    swap_base,
)
from nflows_spread.datasets import Points
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.linalg.distances import nearest_neighbours
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from paper.data_sets import DataSet, Folders
from paper.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

FEATURES, LABELS = 10, 5
_HELD_OUT = 2000
_STEPS, _BATCH, _RATE, _FINAL_RATE, _CLIP = 1500, 500, 2e-3, 4e-5, 5.0


def data(other_scale: float, seed: int, folders: Folders) -> DataSet:
    """GIN's set, 10 000 rows to train on; their coordinates are the labels.

    Args:
        other_scale: standard deviation of the eight latents that say nothing.
        seed: of the set.
        folders: not needed.
    """
    rows = ten_dimensions(seed, rows=10_000 + _HELD_OUT, other_scale=other_scale)
    points = (Points(x, labels.unsqueeze(1)) for x, labels in zip(*(part.split(10_000) for part in rows[:2])))
    train, held_out = points
    return DataSet(
        train=train,
        held_out=held_out,
        intrinsic_dimension=None,
        distance=lambda x: nearest_neighbours(x, train.x, 1).distances.squeeze(1),
    )


def read_out(result: Result) -> dict[str, object]:
    """``informative``, its interval, and ``information`` in nats for k = 0 … 10; ``without_flow``, ``dimension_of``."""
    train = result.data.train
    return _numbers(_informative(result), train.x)


def _informative(result: Result) -> InformativeDimensions:
    train, generator = result.data.train, result.generator()
    labels, noise = train.coordinates.squeeze(1), result.trained.data_noise
    return informative_dimensions(result.trained.flow, train.x, labels, data_noise=noise, generator=generator)


def of_gin(other_scale: float, data: DataSet, seed: int) -> dict[str, object]:
    """GIN with its own numbers: what is informative, and its own spectrum, the standard deviations of its latents."""
    rows = ten_dimensions(seed, other_scale=other_scale)
    flow = gin(rows.x, rows.labels, seed=seed)
    base = base_of(flow)
    assert isinstance(base, LabelledGaussian)
    return _of_labelled(flow, rows, seed) | {"standard_deviations": base.scales.sort(descending=True).values.tolist()}


def of_pieces(other_scale: float, data: DataSet, seed: int) -> dict[str, object]:
    """A spread flow of volume 1 whose prior has a piece for each label."""
    rows = ten_dimensions(seed, other_scale=other_scale)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        flow = flow_of_ten(base=DegenerateGaussianMixture([FEATURES], LABELS), generator=generator)
    fit(
        LabelledPiecesLoss(flow, data_noise=DATA_NOISE, generator=generator),
        (rows.x, rows.labels),
        steps=_STEPS,
        batch_size=_BATCH,
        learning_rate=_RATE,
        learning_rate_schedule=partial(CosineAnnealingLR, T_max=_STEPS, eta_min=_FINAL_RATE),
        gradient_clip=_CLIP,
        generator=generator,
        progress=False,
        processes=1,
    )
    return _of_labelled(flow.eval(), rows, seed)


flow_of_ten = partial(coupling_flow, FEATURES, layers=8, hidden_features=(32, 32), permute=True, bounded_scale=True)
"""The flow of all rows but GIN's own."""


class LabelledPiecesLoss(nn.Module):
    """−E log w_c N(g(x + σ_x ε); m_c, A_c A_cᵀ + σ_Z² I) − E log|det J|, in nats: the label c says which piece.

    Args:
        flow: whose prior has a piece for each label.
        data_noise: σ_x, in data units.
        generator: source of the noise.
    """

    def __init__(self, flow: Flow, *, data_noise: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.flow, self.data_noise, self.generator = flow, data_noise, generator

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """The loss on a batch (n, D) with labels (n,), a scalar."""
        z, logabsdet = encode_with_logabsdet(
            self.flow, x + self.data_noise * torch.empty_like(x).normal_(generator=self.generator)
        )
        base = base_of(self.flow)
        assert isinstance(base, DegenerateGaussianMixture)
        given = base.responsibilities(z).gather(1, labels.unsqueeze(1)).squeeze(1)
        of_label = given.clamp_min(torch.finfo(given.dtype).tiny).log().to(z.dtype)
        return -(base.log_prob(z) + of_label + logabsdet).mean()


def _of_labelled(flow: Flow, rows: LabelledRows, seed: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(seed)
    found = informative_dimensions(flow, rows.x, rows.labels, data_noise=DATA_NOISE, generator=generator)
    with_normal = swap_base(flow, StandardNormal([FEATURES]))
    whole = intrinsic_dimension(with_normal, rows.x[:2000], data_noise=DATA_NOISE, generator=generator)
    return {"dimension": {whole.rule: int(whole)}} | _numbers(found, rows.x)


def _numbers(found: InformativeDimensions, x: Tensor) -> dict[str, object]:
    without_flow = dimension_of(x)
    return {
        "without_flow": {"dimension": int(without_flow), "interval": list(without_flow.interval)},
        "informative": int(found),
        "informative_interval": list(found.interval),
        "information": found.information.tolist(),
        "information_gap": found.gap,
    }


def coordinates(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """The first two of the directions that labels differ in, coloured by label."""
    found, train = _informative(result), result.data.train
    both = InformativeDimensions(2, **found.__dict__).coordinates(result.trained.flow, train.x[:3000])
    axes = figure.add_subplot(place)
    axes.scatter(
        *both.T, c=train.coordinates[:3000, 0], s=2, cmap="tab10", vmin=0, vmax=9, linewidths=0, rasterized=True
    )
    axes.set_title(f"{result.name}: {int(found)} informative", fontsize=8)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")


def information(figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """What the first k directions tell of the label."""
    axes = figure.add_subplot(place)
    for result in results:
        told = result.numbers["information"]
        assert isinstance(told, list)
        axes.plot(range(len(told)), told, "o-", ms=4, lw=1.0, label=result.name)
    axes.set_xlabel("directions")
    axes.set_ylabel("information on the label, nats")
    axes.legend(fontsize=7)
