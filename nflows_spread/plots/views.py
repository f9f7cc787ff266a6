"""Views of points with many columns: two or three columns as they are, or the principal plane of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nflows_spread.plots.axes import axes_for, is_space, name_axes
from nflows_spread.plots.estimator_results import SCALED, UNITS

_COMPONENT = "principal component"


@dataclass(frozen=True)
class View:
    """Which directions of the data's space a picture shows.

    Attributes:
        ax: the axes it is drawn into.
        center: the point at their origin, (D,).
        directions: in columns, (D, 2) or (D, 3).
        names: of these.
        units: of lengths along these.
        alike: whether all have the same units, so that distances in the picture are some.
    """

    ax: Any
    center: Any
    directions: Any
    names: list[str]
    units: str = UNITS
    alike: bool = True

    def of(self, points: Any) -> Any:
        """Points (n, D) where the picture has them, (n, 2) or (n, 3)."""
        return (points - self.center) @ self.directions

    def name_axes(self) -> None:
        """With equal units in the plane, which show distances as they are, unless columns have units of their own."""
        name_axes(self.ax, self.names, self.units)
        if self.alike and not is_space(self.ax):
            self.ax.set_aspect("equal", adjustable="datalim")


def view_of(rows: Any, columns: list[str], ax: Any, *, scales: Any = None) -> View:
    """All columns where the axes have room for them, else the principal components of the data.

    New axes are 3-D for three columns and else in the plane.

    Args:
        rows: the data, (n, D).
        columns: their names.
        ax: axes, or None.
        scales: of the columns, (D,), where each has units of its own: principal components are of columns that are
            divided by these, and columns that are shown as they are, in units of the data, need not be equally long.

    Raises:
        ValueError: there are fewer columns than axes.
    """
    features = rows.shape[1]
    ax = axes_for(ax, space=features == 3)
    shown = 3 if is_space(ax) else 2
    if features < shown:
        raise ValueError(
            f"points must have at least {shown} columns for these axes, got {features}"
            + ("; leave out projection='3d'" if features == 2 else "; a histogram shows one column")
        )
    if features == shown:
        return View(ax, np.zeros(features), np.eye(features), columns, alike=scales is None)
    center, scale = rows.mean(0), np.ones(features) if scales is None else scales
    directions = np.linalg.svd((rows - center) / scale, full_matrices=False)[2][:shown].T
    if directions.shape[1] < shown:
        raise ValueError(f"a principal plane needs at least {shown} rows, got {len(rows)}")
    names = [f"{_COMPONENT} {number}" for number in range(1, shown + 1)]
    return View(ax, center, directions / scale[:, None], names, UNITS if scales is None else SCALED)
