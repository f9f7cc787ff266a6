"""Fitting: from rows of data to a trained flow, all estimates of the dimension, their consensus, and a chart at K."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart import Chart, chart_of
from nflows_spread.chart.pieces import Pieces
from nflows_spread.dimension import (
    Estimates,
    IntrinsicDimension,
    consensus_dimension,
    density_dimension,
    estimates_of,
)
from nflows_spread.dimension.few_points import widened
from nflows_spread.dimension.without_flow import with_what_points_tell
from nflows_spread.estimator.annealing import trained_by
from nflows_spread.estimator.atlas_fitting import sampler_and_atlas
from nflows_spread.estimator.chart_fitting import PCA, ChartAtRank, chart_at
from nflows_spread.estimator.densities import StackedDensity, stacked_density
from nflows_spread.estimator.local_atlas import LocalAtlas
from nflows_spread.estimator.obstruction import ChartObstruction, obstruction_of
from nflows_spread.estimator.preprocessing import Rows
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.resumption import Resumption
from nflows_spread.estimator.sampler_choice import Sampler
from nflows_spread.estimator.stable_dimension import StableDimension
from nflows_spread.estimator.training_device import CPU
from nflows_spread.estimator.units import Units

_CHART_POINTS = 1000
"""Rows of which the chart is made, at most: a choice, for time; as many as the spectrum takes."""

_ON_ITS_WAY = 1.01
"""σ_x over that at the end of the recipe, a ratio, above which the training has ended too soon: a choice."""


@dataclass(frozen=True)
class FittedFlow:
    """A flow that was trained on data, and what was read off both.

    Attributes:
        flow: of data in units of the flow.
        data_noise: σ_x at the end of training, in units of the flow.
        units: what takes data to these units and back.
        chart: all D coordinates of the latent space, in order of μ.
        reconstruction: the chart of as many coordinates as were asked for, or as the data has dimensions, with their
            density in pieces.
        own_chart: that of as many coordinates as the data has dimensions.
        density: of the noisy data.
        atlas: of as many coordinates in each piece, where one chart is not enough; else None.
        sampler: of the clean data.
        estimates: of the dimension, in units of the data.
        dimension: their consensus.
        obstruction: why the coordinates are no chart, or None.
    """

    flow: nn.Module
    data_noise: float
    units: Units
    chart: Chart
    reconstruction: ChartAtRank
    own_chart: Chart
    density: StackedDensity
    atlas: LocalAtlas | None
    sampler: Sampler
    estimates: Estimates
    dimension: IntrinsicDimension
    obstruction: ChartObstruction | None


def fit_rows(
    x: Tensor,
    names: Sequence[object] | None,
    *,
    recipe: Recipe,
    generator: torch.Generator,
    standardize: bool = False,
    n_components: int | None = None,
    max_minutes: float | None = None,
    progress: bool = False,
    resumption: Resumption | None = None,
    device: torch.device = CPU,
) -> FittedFlow:
    """What ``SpreadFlowEstimator.fit`` does, where its errors and warnings are listed.

    Args:
        x: rows of data, (n, D).
        names: of the columns, for warnings; by default their numbers.
        recipe: the numbers of the training.
        generator: source of all randomness.
        standardize: a scale for each column.
        n_components: coordinates of the chart; by default as many as the data has dimensions.
        max_minutes: stop training after so long, with a warning.
        progress: show a progress bar.
        resumption: where checkpoints of the training are left, and go on from; nowhere by default.
        device: where to train. All of the result is on the CPU.
    """
    began = time.monotonic()
    rows = Rows.of(
        x,
        names,
        standardize=standardize,
        fewest_axes=n_components or 0,
        min_noise=recipe.min_noise,
        validation_fraction=recipe.validation_fraction,
        generator=generator,
    )
    objective = trained_by(
        recipe,
        rows.train,
        nearest=rows.neighbours.nearest,
        generator=generator,
        stop=StableDimension(rows.in_order, rows.neighbours, rows.tangents, rows.unfilled, patience=recipe.patience),
        max_minutes=max_minutes,
        progress=progress,
        resumption=resumption,
        device=device,
    )
    flow, noise = objective.flow, objective.data_noise
    found = _estimates_of(flow, rows, noise, generator)
    estimates = found.in_units_of(rows.units.length)
    dimension = consensus_dimension(estimates, most=rows.spanned)
    if rows.few:
        dimension = widened(dimension, estimates.neighbours, most=rows.spanned)
        validation.warn(
            f"a dimension is told from 50 distinct rows or more, got fewer among {len(x)}: {int(dimension)} is less "
            "sure, by distances to neighbours and the flow alone (interval {} to {}); take more rows".format(
                *dimension.interval
            )
        )
    chart = chart_of(flow, rows.train[:_CHART_POINTS], data_noise=noise, generator=generator)
    allowed = math.inf if max_minutes is None else max_minutes
    noise_of_rows = math.hypot(noise, found.ambient_noise)

    def charted(rank: int) -> ChartAtRank:
        # of the same seed, so that all other randomness is as it would be without a chart
        seeded = torch.Generator().manual_seed(generator.initial_seed())
        left = allowed - (time.monotonic() - began) / 60.0
        chosen = chart_at(
            rows.train,
            rows.validation,
            rank,
            noise=noise_of_rows,
            recipe=recipe,
            generator=seeded,
            max_minutes=left,
            device=device,
        )
        return replace(chosen, chart=_in_pieces(chosen.chart, rows, recipe, seeded))

    own_rank = min(int(dimension), *x.shape)
    rank = own_rank if n_components is None else n_components
    own = charted(own_rank)
    reconstruction = own if rank == own_rank else charted(rank)
    seeded = torch.Generator().manual_seed(generator.initial_seed())
    density = stacked_density(flow, rows.train, rows.validation, min_noise=recipe.min_noise, generator=seeded)
    if noise <= _ON_ITS_WAY * max(recipe.last_noise, found.ambient_noise):  # or the training has ended too soon
        rows.units.warn_of_thin_columns(noise, names)
    for reservation in estimates.reservations(dimension):
        found_to_be = "{} (interval {} to {})".format(int(dimension), *dimension.interval)
        validation.warn(f"a dimension of {found_to_be} says less than it seems: {reservation}")
    by_spectrum = estimates.spectrum.estimates["signal_to_noise"]
    obstruction = None
    if rank >= min(int(dimension), *x.shape):  # fewer are a map, which was asked for
        obstruction = obstruction_of(
            reconstruction.topology,
            unreconstructed=reconstruction.beyond_noise,
            error=float(reconstruction.errors[-1]),
            linear=reconstruction.kind == PCA,
            neighbours_alone=by_spectrum != int(dimension),
            rank=rank,
            parts=estimates.parts,
        )
    sampler, atlas = sampler_and_atlas(
        own.chart,
        chart,
        density.pieces,
        rows,
        noise=noise_of_rows,
        ambient_noise=found.ambient_noise,
        min_noise=recipe.min_noise,
        covers=obstruction is None and not rows.parts,
        error=float(own.errors[-1]),
        generator=seeded,
    )
    if obstruction is not None:
        charts = f"the chart of {validation.counted(rank)} {obstruction}"
        validation.warn(charts if atlas is None else f"{charts}; atlas_ has charts of its pieces")
    if resumption is not None:
        resumption.remove()
    return FittedFlow(
        flow,
        noise,
        rows.units,
        chart,
        reconstruction,
        own.chart,
        density,
        atlas,
        sampler,
        estimates,
        dimension,
        obstruction,
    )


@torch.no_grad()
def _in_pieces(chart: Chart, rows: Rows, recipe: Recipe, generator: torch.Generator) -> Chart:
    """The chart with the density of its coordinates, in pieces, of all rows."""
    codes = chart.coordinates(rows.shuffled.double())
    return replace(chart, pieces=Pieces.fitted(codes, floor=recipe.min_noise, generator=generator))


def _estimates_of(flow: nn.Module, rows: Rows, data_noise: float, generator: torch.Generator) -> Estimates:
    """What each estimate says of rows and of a flow trained on them, in units of the flow."""
    every_row = torch.cat([rows.train, rows.validation])
    found = replace(
        estimates_of(flow, every_row, rows.neighbours, data_noise=data_noise, generator=generator),
        density=density_dimension(flow, rows.validation, data_noise=data_noise, generator=generator),
        parts=rows.parts,
        path=rows.path,
        shells=rows.shells,
        unfilled=rows.unfilled,
        tangents=rows.tangents,
    )
    return found if rows.few else with_what_points_tell(found, every_row, rows.neighbours)
