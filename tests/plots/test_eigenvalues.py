"""The plot of a spectrum: both kinds of eigenvalues, the noise, and a line after the dimension."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from nflows_spread.dimension import Spectrum, decide
from support import refused

VALUES, SIGNALS = [1.0, 0.5, 1e-3], [2.0, 1.0, 0.01]


@pytest.fixture
def spectrum():
    return Spectrum(torch.tensor(VALUES), torch.tensor(SIGNALS), 1e-4, 0.1)


def lines_of(ax):
    return {line.get_label().partition(" of ")[0]: line for line in ax.lines}


def test_both_kinds_of_eigenvalues_stand_at_their_number(ax, spectrum):
    assert plots.spectrum(spectrum, ax=ax) is ax
    lines = lines_of(ax)
    assert lines.keys() == {"AAᵀ", "μ", "σ_x²"}
    for name, values in (("AAᵀ", VALUES), ("μ", SIGNALS)):
        np.testing.assert_array_equal(lines[name].get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(lines[name].get_ydata(), values, rtol=1e-6)
    np.testing.assert_allclose(lines["σ_x²"].get_ydata(), 0.01)
    assert ax.get_yscale() == "log"
    assert "units of the data, squared" in ax.get_ylabel()


def test_a_line_is_after_the_dimension(ax, spectrum):
    plots.spectrum(decide(spectrum), ax=ax)
    assert set(lines_of(ax)["dimension 2"].get_xdata()) == {2.5}
    ax.clear()
    plots.spectrum(spectrum, dimension=1, first=2, ax=ax)
    lines = lines_of(ax)
    assert set(lines["dimension 1"].get_xdata()) == {1.5}
    assert len(lines["μ"].get_xdata()) == 2


def test_an_estimator_has_one_too(ax, estimator):
    plots.spectrum(estimator, ax=ax)
    np.testing.assert_array_equal(lines_of(ax)["μ"].get_ydata(), estimator.spectrum_.signal_to_noise)


def test_what_has_no_spectrum_is_refused(ax, found):
    remedy = "got PointDimension; dimension_of has no spectrum, plots.scale shows what it found"
    with refused(TypeError, "plots.spectrum must be given a fitted SpreadFlowEstimator", remedy):
        plots.spectrum(found, ax=ax)


def test_a_standardizing_estimator_has_its_units_in_a_line(ax, estimator, monkeypatch):
    monkeypatch.setattr(estimator, "standardize", True)
    plots.spectrum(estimator, ax=ax)
    assert ax.get_ylabel() == "variance (of standardized columns)"


@pytest.mark.parametrize("size", [(2.4, 2.2), (4.6, 3.4)])
def test_the_legend_is_within_narrow_axes_too(estimator, size):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    ax = plots.spectrum(estimator, ax=figure.add_subplot())
    figure.draw_without_rendering()
    legend, inside = ax.get_legend().get_window_extent(), ax.bbox.padded(1.0)
    assert inside.x0 <= legend.x0 <= legend.x1 <= inside.x1
    assert not legend.overlaps(ax.yaxis.label.get_window_extent())
