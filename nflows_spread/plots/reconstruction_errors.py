"""Plot of reconstructions: the error that 1, 2, … coordinates leave, or images beside those that K coordinates give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nflows_spread import validation
from nflows_spread.chart import Chart
from nflows_spread.plots.axes import axes_for, legend, numbers_of, points_of_rows, refused, whole_numbers
from nflows_spread.plots.colours import MODEL_COLOUR, REFERENCE_COLOUR
from nflows_spread.plots.estimator_results import is_estimator
from nflows_spread.plots.image_grid import labelled_images

_TAKEN = "a fitted SpreadFlowEstimator, a Chart with x=, or errors of 1, 2, … coordinates"


def reconstructions(
    found: Any,
    x: Any = None,
    *,
    shape: Sequence[int] | None = None,
    ranks: Sequence[int] | None = None,
    columns: int = 8,
    ax: Any = None,
) -> Any:
    """The error that the first 1, 2, … coordinates leave; with a ``shape`` images, and below them what is left of them.

    The error is the root mean squared distance of rows from their reconstructions over the root of the total variance:
    0 is all, 1 as far as the mean.

    Args:
        found: a fitted ``SpreadFlowEstimator``, whose errors are of held-out rows unless there is ``x``; a ``Chart``,
            with ``x``; or such errors themselves, (K,).
        x: the data to reconstruct, best held out.
        shape: of one image, such as ``(28, 28)`` or ``(3, 32, 32)``, where rows are images.
        ranks: numbers of coordinates of the images; by default 1 and all.
        columns: images in a row, and rows of ``x`` that are shown.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, there is no ``x`` where one is needed, or no such rank.
    """
    if shape is not None:
        return _images(found, x, shape, ranks, validation.positive_int("columns", columns), ax)
    if ranks is not None:
        raise ValueError(f"ranks must come with a shape, got {tuple(ranks)} and none; a curve shows them all")
    errors, whose = _errors(found, x)
    axes = axes_for(ax, plane=True)
    axes.plot(range(1, len(errors) + 1), errors, "o-", c=MODEL_COLOUR, ms=4, label=whose)
    axes.axhline(1.0, c=REFERENCE_COLOUR, lw=1, ls=":", label="the mean alone")
    axes.set_ylim(bottom=0.0)
    axes.set_xlim(0.5, len(errors) + 0.5)
    whole_numbers(axes.xaxis)
    axes.set_xlabel("coordinates")
    axes.set_ylabel("error of reconstructions\n(of the data's standard deviation)")
    legend(axes)
    return axes


def _errors(found: Any, x: Any) -> tuple[Any, str]:
    """Of 1, 2, … coordinates, and of which rows."""
    if is_estimator(found) and x is None:
        return numbers_of(found.reconstruction_errors_), "held-out rows"
    if is_estimator(found) or isinstance(found, Chart):
        rows, _ = points_of_rows("x", _needed(found, x))
        rank = found.rank if isinstance(found, Chart) else found.chart_.rank
        scale = _scale(found)
        total = np.square((rows - rows.mean(0)) / scale).sum(1).mean()
        if isinstance(found, Chart):
            return numbers_of(found.reconstruction_error(x)) / np.sqrt(total), "rows of x"
        left = [np.square((_reconstructed(found, x, k) - rows) / scale).sum(1).mean() for k in range(1, rank + 1)]
        return np.sqrt(np.array(left) / total), "rows of x"
    if not hasattr(found, "shape") and not isinstance(found, (list, tuple)):
        raise refused("reconstructions", _TAKEN, found, "make a chart of a flow by chart_of(flow, rank=K)")
    errors = numbers_of(found)
    if errors.ndim != 1 or len(errors) == 0 or not np.isfinite(errors).all():
        raise ValueError(f"errors must be finite numbers (K,), got shape {errors.shape}; see reconstruction_error")
    return errors, "reconstructions"


def _scale(found: Any) -> Any:
    """By which the columns are divided, so that all count alike: those of a standardizing estimator."""
    return numbers_of(found.scale_) if getattr(found, "standardize", False) else 1.0


@torch.no_grad()
def _reconstructed(found: Any, x: Any, rank: int) -> Any:
    """Rows (n, D) as the first coordinates alone have them."""
    if isinstance(found, Chart):
        return numbers_of(found.first(rank).reconstruct(x)).reshape(len(x), -1)
    return numbers_of(found.inverse_transform(numbers_of(found.transform(x))[:, :rank]))


def _images(found: Any, x: Any, shape: Sequence[int], ranks: Sequence[int] | None, columns: int, ax: Any) -> Any:
    """A row of images, and one of reconstructions for each number of coordinates."""
    if not isinstance(found, Chart) and not is_estimator(found):
        raise refused("reconstructions", "a fitted SpreadFlowEstimator or a Chart for images", found, "see chart_of")
    some = _needed(found, x)[:columns]
    most = found.rank if isinstance(found, Chart) else found.chart_.rank
    chosen = sorted({1, most}) if ranks is None else [validation.rank_within(rank, most) for rank in ranks]
    rows = [("data", points_of_rows("x", some)[0])]
    rows += [(f"K = {rank}", _reconstructed(found, some, rank)) for rank in chosen]
    return labelled_images(rows, shape=shape, columns=columns, ax=ax)


def _needed(found: Any, x: Any) -> Any:
    if x is None:
        raise ValueError(f"x must be the data to reconstruct, got None with a {type(found).__name__}")
    return x
