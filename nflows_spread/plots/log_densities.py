"""Plot of the density on the manifold: a curve along one coordinate, or points of a chart by their log-density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from nflows_spread import validation
from nflows_spread.chart import Chart
from nflows_spread.plots.axes import axes_for, coloured, is_space, legend, name_axes, numbers_of, refused
from nflows_spread.plots.colours import CATEGORY_COLOURS, MODEL_COLOUR
from nflows_spread.plots.coordinates import coordinates_of
from nflows_spread.plots.estimator_results import is_estimator

_TAKEN = "a fitted SpreadFlowEstimator, a Chart, or log-densities (n,)"
_COLOURS = (MODEL_COLOUR, *(colour for colour in CATEGORY_COLOURS if colour != MODEL_COLOUR))


def density(found: Any, x: Any, *, truth: Any = None, label: str | None = None, ax: Any = None) -> Any:
    """The density of the data without noise on the manifold, by its area: a curve, or the colour of points of a chart.

    Where a few points are far out, colours go from the 2nd to the 98th percentile, and the colour bar says so.

    Args:
        found: a fitted ``SpreadFlowEstimator`` (its ``manifold_score_samples``) or a ``Chart`` (its ``log_prob``), with
            the data; or log-densities (n,) in nats, or several of these by their names, with coordinates.
        x: the data, (n, D), for the former; coordinates (n,) or (n, K) for the latter, of which two are drawn.
        truth: the true log-densities, (n,), where these are known, for a curve.
        label: what the coordinate of a curve is.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, there is not one number for each row, or an estimator
            has one coordinate of data of more dimensions.
    """
    densities, coordinates, units = _densities(found, x)
    if coordinates.shape[1] == 1:
        return _curves(
            densities, coordinates[:, 0], truth, label or f"coordinate 1 ({units})", axes_for(ax, plane=True)
        )
    if truth is not None or len(densities) > 1:
        raise ValueError(
            f"truth and several densities need one coordinate, got {coordinates.shape[1]}; draw each by itself"
        )
    if ax is not None and is_space(axes_for(ax)) and coordinates.shape[1] < 3:
        raise ValueError(f"3-D axes need three coordinates, got {coordinates.shape[1]}; leave out projection='3d'")
    axes = axes_for(ax)
    shown = 3 if is_space(axes) else 2
    (values,) = densities.values()
    coloured(axes, coordinates[:, :shown], values, f"log-density\n(nats; by area in {units})")
    name_axes(axes, [f"coordinate {number}" for number in range(1, shown + 1)], units)
    return axes


def _curves(densities: Mapping[str, Any], position: Any, truth: Any, label: str, axes: Any) -> Any:
    """Densities along one coordinate, in its order, against the truth."""
    order = np.argsort(position, kind="stable")
    if truth is not None:
        axes.plot(position[order], np.exp(_checked("truth", truth, len(position)))[order], c="k", lw=1.5, label="truth")
    for (name, values), colour in zip(densities.items(), _COLOURS * (1 + len(densities) // len(_COLOURS))):
        axes.plot(position[order], np.exp(values[order]), c=colour, lw=1.2, label=name)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(label)
    axes.set_ylabel("density")
    legend(axes)
    return axes


@torch.no_grad()
def _densities(found: Any, x: Any) -> tuple[dict[str, Any], Any, str]:
    """Log-densities by their names, each (n,), coordinates (n, K), and the units of these."""
    if is_estimator(found):
        values, units = coordinates_of(found, x)
        dimension = int(found.intrinsic_dimension_)
        if values.shape[1] == 1 < dimension:
            raise ValueError(
                f"a density along one coordinate needs data of dimension 1, got {dimension}; fit with n_components=2"
            )
        return {"density on the manifold": numbers_of(found.manifold_score_samples(x))}, values, units
    if isinstance(found, Chart):
        values, units = coordinates_of(found, x)
        return {"density on the manifold": numbers_of(found.log_prob(validation.tensor("x", x)))}, values, units
    several = found if isinstance(found, Mapping) else {"density": found}
    if not all(hasattr(values, "shape") or isinstance(values, (list, tuple)) for values in several.values()):
        raise refused("density", _TAKEN, found, "of a flow take manifold_log_prob(flow, x, rank=K)")
    values, units = coordinates_of(x, None)
    return {str(name): _checked(str(name), each, len(values)) for name, each in several.items()}, values, units


def _checked(name: str, values: Any, rows: int) -> Any:
    """Log-densities, (n,); −infinity is a density of 0."""
    found = numbers_of(values)
    if found.shape != (rows,) or np.isnan(found).any() or np.isposinf(found).any():
        raise ValueError(f"{name} must be {rows} log-densities, one for each row, got shape {found.shape}")
    return found
