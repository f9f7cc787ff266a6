"""The plot of reconstructions: the errors of 1, 2, … coordinates, or images in rows by the number of coordinates."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from support import refused


def curve(ax):
    line = ax.lines[0]
    np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 1 + len(line.get_ydata())))
    return line.get_ydata()


def test_an_estimator_has_its_held_out_errors(ax, estimator):
    assert plots.reconstructions(estimator, ax=ax) is ax
    np.testing.assert_array_equal(curve(ax), estimator.reconstruction_errors_)
    assert ax.lines[0].get_label() == "held-out rows"
    assert set(ax.lines[1].get_ydata()) == {1.0}


@pytest.mark.parametrize("standardize", [False, True])
def test_rows_that_are_given_are_reconstructed(ax, estimator, surface, standardize, monkeypatch):
    x = surface[0]
    monkeypatch.setattr(estimator, "standardize", standardize)
    plots.reconstructions(estimator, x, ax=ax)
    scale = estimator.scale_ if standardize else 1.0
    coordinates = estimator.transform(x)
    for k, error in enumerate(curve(ax), 1):
        left = (estimator.inverse_transform(coordinates[:, :k]) - x) / scale
        assert error == pytest.approx(np.sqrt((left**2).sum() / (((x - x.mean(0)) / scale) ** 2).sum()), rel=1e-6)


def test_a_chart_has_the_errors_of_rows(ax, chart, points_of_cylinder):
    x = points_of_cylinder
    plots.reconstructions(chart, x, ax=ax)
    root = float((x - x.mean(0)).double().square().sum(1).mean().sqrt())
    np.testing.assert_allclose(curve(ax), chart.reconstruction_error(x) / root, rtol=1e-5)


def test_errors_themselves_will_do(ax):
    plots.reconstructions([0.5, 0.2, 0.1], ax=ax)
    np.testing.assert_array_equal(curve(ax), [0.5, 0.2, 0.1])


def test_images_stand_over_what_each_number_of_coordinates_leaves(ax, chart, points_of_cylinder):
    x = points_of_cylinder
    plots.reconstructions(chart, x, shape=(2, 2), ranks=(2, 1), columns=3, ax=ax)
    grid = ax.images[0].get_array()
    with torch.no_grad():
        blocks = [x[:3], chart.reconstruct(x[:3]), chart.first(1).reconstruct(x[:3])]
    for row, images in enumerate(blocks):
        for column, image in enumerate(images):
            drawn = grid[1 + 3 * row : 3 + 3 * row, 1 + 3 * column : 3 + 3 * column]
            np.testing.assert_allclose(drawn, image.reshape(2, 2).clamp(0, 1), atol=1e-6)
    assert [text.get_text() for text in ax.texts] == ["data", "K = 2", "K = 1"]


def test_what_is_asked_for_in_vain_is_refused(ax, chart, points_of_cylinder):
    with refused(
        TypeError, "plots.reconstructions must be given a fitted SpreadFlowEstimator, a Chart with x=", "got int"
    ):
        plots.reconstructions(3, ax=ax)
    with refused(ValueError, "x must be the data to reconstruct, got None with a Chart"):
        plots.reconstructions(chart, ax=ax)
    with refused(ValueError, "ranks must come with a shape, got (1,) and none"):
        plots.reconstructions(chart, points_of_cylinder, ranks=(1,), ax=ax)
    with refused(ValueError, "rank must be between 1 and 2, got 3"):
        plots.reconstructions(chart, points_of_cylinder, shape=(2, 2), ranks=(3,), ax=ax)
    with refused(ValueError, "errors must be finite numbers (K,), got shape (1, 2)"):
        plots.reconstructions([[0.1, 0.2]], ax=ax)
    assert not ax.lines
