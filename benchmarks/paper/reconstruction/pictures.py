"""Panels of colour images: samples and reconstructions at each rank K, spectrum, neighbours (figs 8 to 10, 17, 18)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, base_of, decode, plots
from nflows_spread.chart.directions import BY_EIGENVALUE
from paper import pictures
from paper.images.colour import nearest
from paper.pictures import Panel
from paper.reconstruction.quality import sampled_ranks
from paper.reconstruction.reconstructions import FITTED, ORDERS, reconstructed_ranks, reconstructions
from paper.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_COLUMNS = 8
_TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)


def samples_by_rank(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """A row of samples for each K, from the same random numbers; a fixed prior has but one."""
    if result.settings.fixed_prior:
        pictures.sample_images(figure, place, result)
        return
    ranks = sampled_ranks(result)
    rows = [_samples(result, rank=rank) for rank in ranks]
    _grid(figure.add_subplot(place), rows, f"{result.name}: samples at each K", ranks)


def samples_by_temperature(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """A row of samples for each temperature, which scales the standard deviations of the whole prior."""
    rows = [_samples(result, temperature=temperature) for temperature in _TEMPERATURES]
    _grid(figure.add_subplot(place), rows, f"{result.name}: samples at each temperature", _TEMPERATURES)


def nearest_training_images(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Samples, and under each the training image that is nearest to it."""
    rows = []
    for samples in result.samples[: 3 * _COLUMNS].split(_COLUMNS):
        data = result.data.train.x
        rows += [samples.view(-1, *data.shape[1:]), data[nearest(samples.nan_to_num(), data)[1]]]
    axes = figure.add_subplot(place)
    plots.images(torch.cat(rows), columns=_COLUMNS, ax=axes)
    axes.set_title(f"{result.name}: samples, nearest data")


def reconstructions_by_eigenvalue(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Held-out images, and a row of their reconstructions for each K, as figure 10 has them."""
    _reconstructed(figure.add_subplot(place), result, BY_EIGENVALUE)


def reconstructions_by_fitted_directions(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """The same from directions that are fitted to the error, for each K that they are fitted at."""
    _reconstructed(figure.add_subplot(place), result, FITTED)


def reconstruction_curve(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Mean squared error against K, for each way to choose the directions."""
    axes = figure.add_subplot(place)
    colours = (plots.REFERENCE_COLOUR, plots.DATA_COLOUR, plots.MODEL_COLOUR, "black")
    for (order, ending), colour, style in zip(ORDERS.items(), colours, ("o-", "s--", "o-", "v-")):
        ranks = reconstructed_ranks(result, order)
        axes.plot(ranks, [result.numbers[f"mse_{rank}{ending}"] for rank in ranks], style, c=colour, ms=4, label=order)
    axes.set_yscale("log")
    axes.set_xlabel("K")
    axes.legend(fontsize=7, framealpha=0.7)
    axes.set_title(f"{result.name}: error of reconstructions")


def whole_spectrum(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """All eigenvalues of AAᵀ in log space, beside the invariant ones (figures 9 and 17)."""
    axes = figure.add_subplot(place)
    if result.given:
        axes.text(0.5, 0.5, f"dimension {result.given} was given", ha="center", va="center")
        axes.set_axis_off()
        return
    plots.spectrum(result.spectrum, dimension=int(result.dimension), first=len(result.spectrum.eigenvalues), ax=axes)
    for line in axes.get_lines():
        line.set_marker("")
    axes.set_title(f"{result.name}: eigenvalues, dimension {int(result.dimension)}")


OF_COLOURS: tuple[Panel, ...] = (
    pictures.data_images,
    samples_by_rank,
    samples_by_temperature,
    nearest_training_images,
    reconstructions_by_eigenvalue,
    reconstructions_by_fitted_directions,
    reconstruction_curve,
    whole_spectrum,
)
"""All of them, and held-out images."""


@torch.no_grad()
def _samples(result: Result, *, rank: int | None = None, temperature: float = 1.0) -> Tensor:
    """A row of samples; a fixed prior, which has no leading directions, gets those of its latents."""
    flow, features = result.trained.flow, result.latents.shape[1]
    base = base_of(flow)
    if isinstance(base, DegenerateGaussianMixture):
        if base.tied == "semi":
            z = result.semi_tied_latents(_COLUMNS, rank=rank or features)
        else:
            z = base.sample(_COLUMNS, rank=rank, generator=result.generator())
        return decode(flow, torch.lerp(base.mean(), z, temperature))
    noise = torch.empty(_COLUMNS, features).normal_(generator=result.generator())
    if rank is None and not isinstance(base, DegenerateGaussian):
        return decode(flow, temperature * noise)
    directions, rank = result.directions, features if rank is None else rank
    scale = temperature * directions.variances[:rank].sqrt()
    return decode(flow, directions.maps(rank, BY_EIGENVALUE).latents(noise[:, :rank] * scale))


def _reconstructed(axes: Axes, result: Result, order: str) -> None:
    x, ranks = result.data.held_out.x[:_COLUMNS], reconstructed_ranks(result, order)
    rows = [reconstructions(result, x, rank, order) for rank in ranks]
    _grid(axes, [x, *rows], f"{result.name}: {order}", ["data", *ranks])


def _grid(axes: Axes, rows: list[Tensor], title: str, labels: list[object] | tuple[object, ...]) -> None:
    """Rows of images with a label at the left of each."""
    plots.images(torch.cat(rows).nan_to_num(), columns=_COLUMNS, ax=axes)
    height = rows[0].shape[-2] + 1
    for number, label in enumerate(labels):
        axes.text(-1.0, (number + 0.5) * height, str(label), ha="right", va="center", fontsize=7)
    axes.set_title(title)
