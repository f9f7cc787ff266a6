"""When an atlas is made, and which sampler is taken: that of the chart, of the flow or of the atlas."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch

from nflows_spread.chart import Chart
from nflows_spread.chart.pieces import Pieces
from nflows_spread.dimension import pointwise_dimension
from nflows_spread.estimator.atlas_sampling import AtlasSampler
from nflows_spread.estimator.local_atlas import LocalAtlas, local_atlas
from nflows_spread.estimator.preprocessing import Rows
from nflows_spread.estimator.sampler_choice import Sampler, sampler_of
from nflows_spread.estimator.sampling import ChartSampler, FlowSampler

_PRECISE = 0.5
"""Share of the chart's error up to which the atlas' samples are asked first. From trials on 20 manifolds of 1 to 5
dimensions with up to 5 % of noise: docs/charts.md."""

_EXACT = 1e-4
"""Error over the data's deviation, up to which a chart is exact and none is asked: a choice, above rounding."""


def sampler_and_atlas(
    chart: Chart,
    flow_chart: Chart,
    pieces: Pieces | None,
    rows: Rows,
    *,
    noise: float,
    ambient_noise: float,
    min_noise: float,
    covers: bool,
    error: float,
    generator: torch.Generator,
) -> tuple[Sampler, LocalAtlas | None]:
    """What samples are drawn from, and the atlas, or None where one chart is enough, or the atlas is no better.

    Asked first is what reconstructs held-out rows better, the atlas only where it does so by far; the other and the
    flow where those samples are off, or the chart reconstructs worse and is none of the whole data.

    Args:
        chart: of as many coordinates as the data has dimensions, with their density in pieces.
        flow_chart: all D coordinates of the flow.
        pieces: of the density of the data.
        rows: the data.
        noise: standard deviation of all noise in each column, of training and of the data.
        ambient_noise: that of the data alone.
        min_noise: the standard deviation that a piece has at least along each axis.
        covers: whether nothing says that the chart is none of the whole data.
        error: of the chart's reconstructions of held-out rows, over the root of the total variance.
        generator: source of the draws that are compared, and of those that set the spread of columns.
    """

    @cache
    def atlas() -> LocalAtlas | None:
        if pieces is None:
            return None
        every_row = rows.shuffled
        same = torch.full((len(every_row),), chart.rank)
        dimensions = pointwise_dimension(every_row) if rows.parts else same
        return local_atlas(pieces, dimensions, rows.train, rows.validation, floor=min_noise, generator=generator)

    on_chart = ChartSampler.of(chart, rows.train, rows.validation, noise=noise, generator=generator)

    @cache
    def on_atlas() -> AtlasSampler | None:
        found = atlas()
        if found is None:
            return None
        return AtlasSampler.of(found, rows.train, rows.validation, noise=ambient_noise, generator=generator)

    of_noise = ambient_noise * (rows.train.shape[1] - chart.rank) ** 0.5 / float(rows.train.var(0).sum()) ** 0.5
    could_be_precise = _PRECISE * error > max(of_noise, _PRECISE * _EXACT)  # none is nearer to rows than their noise is
    asked = atlas() if could_be_precise or not covers else None
    first: Sampler = on_chart
    enough = covers or (asked is not None and error <= asked.error)
    if asked is not None and asked.error <= _PRECISE * error and (of_atlas := on_atlas()) is not None:
        first, enough = of_atlas, True

    def others() -> Sequence[Sampler]:
        candidates = on_chart, on_atlas(), FlowSampler(flow_chart, noise, on_chart.columns)
        return [each for each in candidates if each is not None and each is not first]

    sampler = sampler_of(first, others, rows.train, rows.validation, covers=enough, generator=generator)
    if covers and sampler is on_chart:
        return sampler, None
    found = atlas()
    better = found is not None and (found.error < error or isinstance(sampler, AtlasSampler))
    return sampler, found if better else None
