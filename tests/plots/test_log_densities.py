"""The plot of a density: a curve of densities along one coordinate, or points by their log-density."""

import numpy as np
import pytest
import scipy.stats
import torch

from nflows_spread import plots
from support import refused


def test_along_one_coordinate_densities_stand_in_its_order_beside_the_truth(ax):
    position = np.random.default_rng(0).normal(size=30)
    found, truth = scipy.stats.norm(scale=2.0).logpdf(position), scipy.stats.norm.logpdf(position)
    assert plots.density({"wide": torch.as_tensor(found)}, position, truth=truth, label="t", ax=ax) is ax
    lines = {line.get_label(): line for line in ax.lines}
    order = np.sort(position)
    for name, scale in (("truth", 1.0), ("wide", 2.0)):
        np.testing.assert_array_equal(lines[name].get_xdata(), order)
        np.testing.assert_allclose(lines[name].get_ydata(), scipy.stats.norm(scale=scale).pdf(order), rtol=1e-12)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("t", "density")


def test_a_density_of_zero_is_drawn(ax):
    plots.density([-np.inf, 0.0], [1.0, 2.0], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.0, 1.0])


def test_an_estimator_colours_its_chart_by_the_density_on_the_manifold(ax, estimator, surface):
    x = surface[0]
    plots.density(estimator, x, ax=ax)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), estimator.transform(x))
    np.testing.assert_array_equal(ax.collections[0].get_array(), estimator.manifold_score_samples(x))
    assert "nats" in ax.figure.axes[1].get_ylabel()


def test_a_chart_of_one_coordinate_has_a_curve(ax, chart, points_of_cylinder):
    first, x = chart.first(1), points_of_cylinder
    plots.density(first, x, ax=ax)
    with torch.no_grad():
        position, found = first.coordinates(x)[:, 0].numpy(), first.log_prob(x).exp().numpy()
    order = np.argsort(position, kind="stable")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), position[order])
    np.testing.assert_allclose(ax.lines[0].get_ydata(), found[order], rtol=1e-6)


def test_what_does_not_fit_is_refused(ax, space):
    plane = np.zeros((3, 2))
    with refused(TypeError, "plots.density must be given a fitted SpreadFlowEstimator, a Chart", "manifold_log_prob"):
        plots.density("flow", plane, ax=ax)
    with refused(ValueError, "density must be 3 log-densities, one for each row, got shape (2,)"):
        plots.density([0.0, 1.0], plane, ax=ax)
    with refused(ValueError, "truth and several densities need one coordinate, got 2"):
        plots.density([0.0, 1.0, 2.0], plane, truth=[0.0, 1.0, 2.0], ax=ax)
    with refused(ValueError, "3-D axes need three coordinates, got 2; leave out projection='3d'"):
        plots.density([0.0, 1.0, 2.0], plane, ax=space)
    assert not ax.lines
    assert not ax.collections


def test_one_coordinate_of_several_has_no_density_along_it(ax, estimator, surface, monkeypatch):
    monkeypatch.setattr(estimator, "chart_", estimator.chart_.first(1))
    monkeypatch.setattr(estimator, "intrinsic_dimension_", 2)
    with refused(ValueError, "a density along one coordinate needs data of dimension 1, got 2", "n_components=2"):
        plots.density(estimator, surface[0], ax=ax)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_log_densities_are_finite_or_minus_infinity(ax, bad):
    with refused(ValueError, "density must be 2 log-densities, one for each row"):
        plots.density([0.0, bad], [1.0, 2.0], ax=ax)
