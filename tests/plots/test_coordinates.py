"""The plot of a chart: points stand at their coordinates and have the colour of their row."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from support import refused

pandas = pytest.importorskip("pandas")


def offsets(ax):
    return np.concatenate([np.asarray(drawn.get_offsets()) for drawn in ax.collections])


def test_coordinates_of_an_estimator_stand_where_transform_puts_them(ax, estimator, surface):
    x, u = surface
    assert plots.chart(estimator, x, colour=u[:, 0], label="angle", ax=ax) is ax
    np.testing.assert_array_equal(offsets(ax), estimator.transform(x))
    np.testing.assert_array_equal(ax.collections[0].get_array(), u[:, 0])
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "angle"
    assert (ax.get_xlabel(), ax.get_ylabel()) == (
        "coordinate 1 (units of the data)",
        "coordinate 2 (units of the data)",
    )


def test_units_are_those_of_a_standardizing_estimator(ax, estimator, surface, monkeypatch):
    monkeypatch.setattr(estimator, "standardize", True)
    plots.chart(estimator, surface[0], ax=ax)
    assert ax.get_xlabel() == "coordinate 1 (standard deviations of the columns)"


def test_coordinates_of_a_flow_are_those_of_its_chart(ax, chart, points_of_cylinder):
    plots.chart(chart, points_of_cylinder, ax=ax)
    np.testing.assert_array_equal(offsets(ax), chart.coordinates(points_of_cylinder).detach())


def test_any_coordinates_can_be_chosen_and_three_stand_in_space(ax, space):
    values = np.random.default_rng(0).normal(size=(20, 4))
    plots.chart(values, coordinates=(4, 2), ax=ax)
    np.testing.assert_array_equal(offsets(ax), values[:, [3, 1]])
    assert ax.get_ylabel() == "coordinate 2 (units of the data)"
    plots.chart(torch.as_tensor(values), coordinates=(1, 3, 4), colour=values[:, 1], ax=space)
    np.testing.assert_array_equal(np.array(space.collections[0]._offsets3d).T, values[:, [0, 2, 3]])
    assert space.get_zlabel() == "coordinate 4"
    assert plots.chart(values, coordinates=(1, 2, 3)).name == "3d"


def test_one_coordinate_is_drawn_against_its_colour(ax):
    values, age = np.arange(5.0), pandas.Series([2.0, 1.0, 4.0, 3.0, 0.0], name="age")
    plots.chart(values, colour=age, ax=ax)
    np.testing.assert_array_equal(offsets(ax), np.stack([values, age], 1))
    assert ax.get_ylabel() == "age"
    ax.clear()
    plots.chart(values[:, None], ax=ax)
    np.testing.assert_array_equal(offsets(ax)[:, 0], values)
    assert len(ax.get_yticks()) == 0


def test_categories_have_a_colour_and_a_line_in_the_legend_each(ax):
    values = np.random.default_rng(0).normal(size=(6, 2))
    frame = pandas.DataFrame(values, columns=["a", "b"]).assign(kind=["x", "y", "x", "x", "y", "z"])
    plots.chart(values, frame, colour="kind", ax=ax)
    for drawn in ax.collections:
        np.testing.assert_array_equal(drawn.get_offsets(), values[frame.kind == drawn.get_label()])
    assert ax.get_legend().get_title().get_text() == "kind"
    assert len({tuple(drawn.get_facecolor()[0]) for drawn in ax.collections}) == 3


def test_what_is_asked_for_in_vain_is_refused(ax, space, estimator):
    values = np.zeros((4, 2))
    with refused(
        TypeError, "plots.chart must be given a fitted SpreadFlowEstimator or a Chart", "got int; make a chart"
    ):
        plots.chart(3, ax=ax)
    with refused(ValueError, "x must be the data to draw the coordinates of, got None with a SpreadFlowEstimator"):
        plots.chart(estimator, ax=ax)
    with refused(ValueError, "coordinates must be one to three numbers between 1 and 2, got (1, 3)"):
        plots.chart(values, coordinates=(1, 3), ax=ax)
    with refused(ValueError, "coordinates must be three for these axes, got (1, 2); three need axes with projection"):
        plots.chart(values, ax=space)
    with refused(ValueError, "coordinates must be one or two for these axes, got (1, 2, 3)"):
        plots.chart(np.zeros((4, 3)), coordinates=(1, 2, 3), ax=ax)
    with refused(ValueError, "colour must be a column of x or one entry for each row, got 'age' of a, b"):
        plots.chart(values, pandas.DataFrame(values, columns=["a", "b"]), colour="age", ax=ax)
    with refused(ValueError, "colour must be a column of x or one entry for each row, got 'age' of no data frame"):
        plots.chart(values, colour="age", ax=ax)
    with refused(ValueError, "colour must have one entry for each of the 4 rows, got shape (3,)"):
        plots.chart(values, colour=[1, 2, 3], ax=ax)
    with refused(ValueError, "coordinates must be finite numbers (n, K), got shape (2, 2)"):
        plots.chart([[0.0, np.nan], [1.0, 1.0]], ax=ax)
    assert not ax.collections


@pytest.mark.parametrize("projection", [None, "3d"])
def test_a_long_legend_is_beside_the_axes_and_within_the_figure(projection):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    ax = figure.add_subplot(projection=projection)
    values = np.random.default_rng(0).normal(size=(40, 3))
    plots.chart(values, colour=[f"kind {row % 8}" for row in range(40)], label="kind", ax=ax)
    figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    assert legend.x0 >= ax.get_window_extent().x1 - 1.0
    assert legend.x1 <= figure.bbox.x1


def test_coordinates_and_data_that_might_be_meant_as_colours_are_refused():
    with refused(ValueError, "x must be left out where coordinates are given", "colour="):
        plots.chart(np.zeros((3, 2)), np.arange(3.0))


def test_rows_without_a_number_are_grey(ax):
    plots.chart(np.arange(6.0).reshape(3, 2), colour=[0.0, np.nan, 1.0], ax=ax)
    drawn = ax.collections[0]
    assert len(drawn.get_offsets()) == 3
    np.testing.assert_allclose(drawn.to_rgba(drawn.get_array())[1, :3], 0xBB / 255)
