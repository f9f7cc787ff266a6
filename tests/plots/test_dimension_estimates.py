"""The plot of a dimension: a dot for each estimate, a band over the interval, a line at the answer; and the map."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from nflows_spread.dimension import Spectrum, decide, local_dimensions
from support import refused


def drawn(ax):
    """The estimates by their names, the line, and the band."""
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    names = [label.get_text() for label in ax.get_yticklabels()]
    lines = [line for line in ax.lines if line.get_label().startswith("dimension")]
    band = ax.patches[0]
    values = {names[int(dot.get_ydata()[0])]: float(dot.get_xdata()[0]) for dot in dots}
    answer = values.pop(next(iter(values)))
    assert answer == float(lines[0].get_xdata()[0])
    return values, answer, (band.get_x(), band.get_x() + band.get_width())


def test_an_estimator_shows_all_of_its_estimates(ax, estimator):
    assert plots.dimension(estimator, ax=ax) is ax
    values, line, band = drawn(ax)
    estimates = estimator.estimates_.by_name
    within = {name.replace("_", " "): min(max(value, 0.0), 4.5) for name, value in estimates.items()}
    assert values.keys() == within.keys()
    for name, value in within.items():
        assert values[name] == pytest.approx(value, abs=0.5)  # beyond D it stands at the edge
    assert [text.get_text() for text in ax.texts][1:] == [f"{value:.3g}" for value in estimates.values()]
    assert line == int(estimator.intrinsic_dimension_)
    lowest, highest = estimator.intrinsic_dimension_.interval
    assert band == (lowest - 0.5, highest + 0.5)


def test_points_show_neighbours_and_tangent_spaces(ax, found):
    plots.dimension(found, ax=ax)
    values, line, _ = drawn(ax)
    evidence = found.estimates.tangents.log_evidence
    assert values == {"neighbours": found.value, "tangent spaces": 1.0 + int(np.argmax(evidence))}
    assert line == int(found)


def test_a_flow_shows_each_rule_with_its_interval(ax):
    dimension = decide(Spectrum(torch.tensor([1.0, 0.5, 1e-3]), torch.tensor([2.0, 1.0, 0.01]), 1e-4, 0.1))
    plots.dimension(dimension, ax=ax)
    values, line, _ = drawn(ax)
    rules = dimension.spectrum.estimates
    assert values == {name.replace("_", " "): int(each) for name, each in rules.items()}
    whiskers = [
        tuple(each.get_xdata()) for each in ax.lines if len(each.get_xdata()) == 2 and each.get_marker() == "None"
    ]
    assert [dimension.interval, *(each.interval for each in rules.values())] == whiskers[1:]  # the line is the first
    assert line == 2


def test_an_estimate_beyond_the_columns_stands_at_the_edge_with_its_number(ax, estimator, monkeypatch):
    beyond = type("Estimates", (), {"by_name": {"neighbours": 2.2, "denoising": 1132.0, "score": -4.2}})
    monkeypatch.setattr(estimator, "estimates_", beyond)
    plots.dimension(estimator, ax=ax)
    values, _, _ = drawn(ax)
    edge = max(4.0, estimator.intrinsic_dimension_.interval[1] + 0.5)
    assert values == {"neighbours": 2.2, "denoising": edge, "score": 0.0}
    assert [text.get_text() for text in ax.texts][1:] == ["2.2", "1.13e+03", "-4.2"]
    assert ax.get_xlim()[1] < 10.0


def test_a_map_of_points_has_a_colour_for_each_dimension(ax):
    rng = np.random.default_rng(0)
    x = np.concatenate([np.stack([np.linspace(-2, -1, 60), np.zeros(60)], 1), rng.uniform(size=(60, 2))])
    local = local_dimensions(x)
    for given in (local, local.dimensions, torch.as_tensor(local.dimensions)):
        ax.clear()
        plots.dimension(given, x, ax=ax)
        by_name = {drawn.get_label(): drawn.get_offsets() for drawn in ax.collections}
        assert by_name.keys() == {str(k) for k in np.unique(local.dimensions)}
        for name, offsets in by_name.items():
            np.testing.assert_array_equal(offsets, x[local.dimensions == int(name)])
        assert ax.get_legend().get_title().get_text() == "dimension"
        assert ax.get_xlabel() == "column 1 (units of the data)"


def test_what_is_no_dimension_is_refused(ax):
    with refused(TypeError, "plots.dimension must be given a fitted SpreadFlowEstimator, what intrinsic_dimension or"):
        plots.dimension(2, ax=ax)
    with refused(ValueError, "found must have one dimension for each of the 5 points, got shape (4,)"):
        plots.dimension(np.ones(4), np.zeros((5, 2)), ax=ax)
    with refused(ValueError, "dimensions of points must be whole numbers, got 1.5"):
        plots.dimension([1.0, 1.5], np.zeros((2, 2)), ax=ax)
    assert not ax.lines
    assert not ax.collections


def test_an_estimator_that_is_not_fitted_is_refused():
    pytest.importorskip("lightning_fabric")
    from nflows_spread.estimator import SpreadFlowEstimator

    with refused(ValueError, "the SpreadFlowEstimator must be fitted, got one that is not; call fit(X) first"):
        plots.dimension(SpreadFlowEstimator())
