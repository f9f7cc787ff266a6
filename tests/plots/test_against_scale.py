"""Dimension against scale as a plot: the curve, its bands, the answer and the interval are those that were found."""

import numpy as np
import pytest

from nflows_spread import dimension_of, plots
from nflows_spread.dimension import DimensionAgainstScale
from support import refused

SCALES = DimensionAgainstScale((0.1, 1.0, 10.0), (3.0, 2.5, 2.0), (0.3, 0.2, 0.1), (3, 10, 40), (100, 100, 50))


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_dimensions_stand_at_their_scales_with_two_bands(ax):
    assert plots.scale(SCALES, ax=ax) is ax
    (line,) = ax.lines
    np.testing.assert_array_equal(line.get_xdata(), SCALES.scales)
    np.testing.assert_array_equal(line.get_ydata(), SCALES.dimensions)
    assert ax.get_xscale() == "log"
    assert "units of the data" in ax.get_xlabel()
    assert ax.get_ylabel() == "dimension"
    bands = [band.get_paths()[0].vertices[:, 1] for band in ax.collections]
    np.testing.assert_allclose([(low.min(), low.max()) for low in bands], [(1.8, 3.6), (1.9, 3.3)])
    assert legend_of(ax) == ["neighbours"]


@pytest.mark.parametrize("widest", [1.3, 3.0, 20.0, 1e4])
def test_there_are_several_numbers_on_the_axis_of_scales(ax, widest):
    scales = tuple(np.geomspace(9.0, 9.0 * widest, 3))
    plots.scale(DimensionAgainstScale(scales, (3.0, 2.5, 2.0), (0.3, 0.2, 0.1), (3, 10, 40), (100, 100, 50)), ax=ax)
    low, high = ax.get_xlim()
    ax.figure.draw_without_rendering()
    assert sum(low <= tick <= high for tick in ax.get_xticks()) >= 2


def test_of_what_dimension_of_found_the_answer_and_the_interval_are_there(ax, found):
    plots.scale(found, label="cylinder", ax=ax)
    answer, curve = ax.lines
    assert set(answer.get_ydata()) == {int(found)}
    np.testing.assert_array_equal(curve.get_ydata(), found.scales.dimensions)
    assert ax.patches[0].get_y() == found.interval[0] - 0.5
    assert ax.patches[0].get_height() == found.interval[1] - found.interval[0] + 1.0
    assert legend_of(ax) == ["interval", f"answer: {int(found)}", "cylinder"]


def test_points_themselves_will_do(ax, surface):
    plots.scale(surface[0], ax=ax)
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), dimension_of(surface[0]).scales.scales)


def test_what_has_no_scales_is_refused_with_what_to_take(ax, estimator):
    for thing, remedy in ((estimator, "plots.scale(dimension_of(X))"), (3, "plots.scale(dimension_of(x))")):
        with refused(TypeError, "plots.scale must be given what dimension_of found", remedy):
            plots.scale(thing, ax=ax)
    assert not ax.lines


@pytest.mark.parametrize("wrong", ["left", np.zeros(3)])
def test_axes_must_be_axes(wrong):
    with refused(TypeError, f"ax must be axes of matplotlib, got {type(wrong).__name__}; take figure.add_subplot()"):
        plots.scale(SCALES, ax=wrong)
