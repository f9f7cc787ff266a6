"""Views of points with many columns: two or three columns as they are, or the principal plane of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nflows_spread.plots.axes import axes_for, is_space, name_axes

UNITS, _COMPONENT = "units of the data", "principal component"


@dataclass(frozen=True)
class View:
    """Which directions of the data's space a picture shows.

    Attributes:
        ax: the axes it is drawn into.
        center: the point at their origin, (D,).
        directions: in columns, (D, 2) or (D, 3).
        names: of these.
    """

    ax: Any
    center: Any
    directions: Any
    names: list[str]

    def of(self, points: Any) -> Any:
        """Points (n, D) where the picture has them, (n, 2) or (n, 3)."""
        return (points - self.center) @ self.directions

    def name_axes(self) -> None:
        """With equal units in the plane, which show distances as they are."""
        name_axes(self.ax, self.names, UNITS)
        if not is_space(self.ax):
            self.ax.set_aspect("equal", adjustable="datalim")


def view_of(rows: Any, columns: list[str], ax: Any) -> View:
    """All columns where the axes have room for them, else the principal components of the data.

    New axes are 3-D for three columns and else in the plane.

    Args:
        rows: the data, (n, D).
        columns: their names.
        ax: axes, or None.

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
        return View(ax, np.zeros(features), np.eye(features), columns)
    center = rows.mean(0)
    directions = np.linalg.svd(rows - center, full_matrices=False)[2][:shown].T
    if directions.shape[1] < shown:
        raise ValueError(f"a principal plane needs at least {shown} rows, got {len(rows)}")
    return View(ax, center, directions, [f"{_COMPONENT} {number}" for number in range(1, shown + 1)])
