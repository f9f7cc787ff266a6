"""Plots: what is drawn is what was found."""

import numpy as np
import pytest

from nflows_spread import plots
from nflows_spread.dimension import DimensionAgainstScale

pytest.importorskip("matplotlib")

SCALES = DimensionAgainstScale((0.1, 1.0, 10.0), (3.0, 2.5, 2.0), (0.3, 0.2, 0.1), (3, 10, 40), (100, 100, 50))


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def test_dimensions_stand_at_their_scales_with_two_bands_and_the_interval(axes):
    plots.plot_dimension_against_scale(axes, SCALES, interval=(2, 3))
    line = axes.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), SCALES.scales)
    np.testing.assert_array_equal(line.get_ydata(), SCALES.dimensions)
    assert axes.get_xscale() == "log"
    assert "units of the data" in axes.get_xlabel()
    assert axes.get_ylabel() == "dimension"
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    np.testing.assert_allclose([(low.min(), low.max()) for low in bands], [(1.8, 3.6), (1.9, 3.3)])
    assert [(text.get_text()) for text in axes.get_legend().get_texts()] == ["interval", "neighbours"]


def test_without_an_interval_there_is_none(axes):
    plots.plot_dimension_against_scale(axes, SCALES)
    assert [(text.get_text()) for text in axes.get_legend().get_texts()] == ["neighbours"]


def test_the_answer_is_marked(axes):
    plots.plot_dimension_against_scale(axes, SCALES, dimension=2)
    assert set(axes.lines[0].get_ydata()) == {2}
    assert [(text.get_text()) for text in axes.get_legend().get_texts()] == ["answer: 2", "neighbours"]
