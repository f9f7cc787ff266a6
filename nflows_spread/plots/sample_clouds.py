"""Plot of samples beside the data: in the plane, in space, in the data's principal plane, or as images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from nflows_spread import validation
from nflows_spread.atlas import Atlas
from nflows_spread.chart import Chart
from nflows_spread.hosts.placement import placement_of
from nflows_spread.plots.axes import legend, points_of_rows, refused, scattered
from nflows_spread.plots.colours import DATA_COLOUR, MODEL_COLOUR
from nflows_spread.plots.estimator_results import is_estimator, scales_of
from nflows_spread.plots.image_grid import labelled_images
from nflows_spread.plots.views import view_of

_MOST = 2_000
"""Samples that are drawn where nobody says how many, at most, and as many as there are rows: a choice."""


def samples(
    found: Any,
    x: Any,
    *,
    n_samples: int | None = None,
    random_state: int = 0,
    shape: Sequence[int] | None = None,
    columns: int = 8,
    labels: tuple[str, str] = ("data", "samples"),
    ax: Any = None,
) -> Any:
    """Samples over the data, which show where a model puts points and where it leaves them out.

    Data of two columns is drawn as it is, of three in space, of more in its principal plane, in 3-D axes in the space
    of three components; images in two blocks of a grid. All is in units of the data; only the principal plane of an
    estimator that standardizes is that of standardized columns, as none is in units that columns have in common.

    Args:
        found: a fitted ``SpreadFlowEstimator``, a ``Chart`` or an ``Atlas``, of which samples are drawn; or the
            samples themselves, (m, ...), as ``sample(flow, m)`` gives them.
        x: the data, (n, ...).
        n_samples: how many to draw; by default as many as rows, up to 2 000.
        random_state: seed of these draws, which change no other.
        shape: of one image, such as ``(28, 28)`` or ``(3, 32, 32)``, where rows are images.
        columns: images in a row.
        labels: names of data and samples.
        ax: where to draw; by default into a new figure, for three columns 3-D.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, or samples and data have not the same columns.
    """
    rows, names = points_of_rows("x", x)
    count = min(len(rows), _MOST) if n_samples is None else validation.positive_int("n_samples", n_samples)
    drawn, _ = points_of_rows("samples", _drawn(found, count, validation.seed("random_state", random_state)))
    if drawn.shape[1] != rows.shape[1]:
        raise ValueError(f"samples must have the {rows.shape[1]} columns of x, got {drawn.shape[1]}")
    if shape is not None:
        some = 4 * validation.positive_int("columns", columns)
        blocks = [(label, block[:some]) for label, block in zip(labels, (rows, drawn))]
        return labelled_images(blocks, shape=shape, columns=columns, ax=ax)
    view = view_of(rows, names, ax, scales=scales_of(found))
    for points, colour, label in ((rows, DATA_COLOUR, labels[0]), (drawn, MODEL_COLOUR, labels[1])):
        scattered(view.ax, view.of(points), color=colour, alpha=0.5, label=label)
    view.name_axes()
    legend(view.ax, loc="upper left", markerscale=2)
    return view.ax


@torch.no_grad()
def _drawn(found: Any, count: int, seed: int) -> Any:
    """Samples of what has them, else what is given."""
    if is_estimator(found):
        return found.sample(count, random_state=seed)
    if isinstance(found, (Chart, Atlas)):
        generator = torch.Generator(device=placement_of(found.flow).device or "cpu").manual_seed(seed)
        return found.sample(count, generator=generator)
    if not hasattr(found, "shape"):
        accepted = "a fitted SpreadFlowEstimator, a Chart, an Atlas, or samples (m, D)"
        raise refused("samples", accepted, found, "of a flow take sample(flow, 1000, rank=K)")
    return found
