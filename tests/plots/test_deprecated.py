"""Old names of the plots: they draw what the new ones draw, and say what to write."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from nflows_spread.dimension import DimensionAgainstScale, Spectrum, decide

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
SPECTRUM = Spectrum(torch.tensor([1.0, 0.5, 1e-3]), torch.tensor([2.0, 1.0, 0.01]), 1e-4, 0.1)
SCALES = DimensionAgainstScale((0.1, 1.0, 10.0), (3.0, 2.5, 2.0), (0.3, 0.2, 0.1), (3, 10, 40), (100, 100, 50))
OLD_AND_NEW = {
    "plot_points": (
        lambda ax: plots.plot_points(ax, X, 2 * X),
        lambda ax: plots.samples(2 * X[:, :2], X[:, :2], ax=ax),
    ),
    "plot_images": (
        lambda ax: plots.plot_images(ax, X.view(5, 3, 4), columns=2),
        lambda ax: plots.images(X.view(5, 3, 4), columns=2, ax=ax),
    ),
    "plot_spectrum": (
        lambda ax: plots.plot_spectrum(ax, SPECTRUM, decide(SPECTRUM), first=2),
        lambda ax: plots.spectrum(decide(SPECTRUM), first=2, ax=ax),
    ),
    "plot_representation": (
        lambda ax: plots.plot_representation(ax, X[:, :1], X[:, 1], label="t"),
        lambda ax: plots.chart(X[:, :1], colour=X[:, 1], label="t", ax=ax),
    ),
    "plot_dimensions": (
        lambda ax: plots.plot_dimensions(ax, X, torch.arange(20) % 2),
        lambda ax: plots.dimension(torch.arange(20) % 2, X[:, :2], ax=ax),
    ),
    "plot_dimension_against_scale": (
        lambda ax: plots.plot_dimension_against_scale(ax, SCALES, label="here"),
        lambda ax: plots.scale(SCALES, label="here", ax=ax),
    ),
    "plot_density": (
        lambda ax: plots.plot_density(ax, X[:, 0].sort()[0], {"a": X[:, 1].exp()}, X[:, 2].exp(), label="t"),
        lambda ax: plots.density({"a": X[:, 1]}, X[:, 0].sort()[0], truth=X[:, 2], label="t", ax=ax),
    ),
}


def content(ax):
    """The numbers that are drawn, and the names of the axes."""
    parts = [line.get_xydata() for line in ax.lines] + [image.get_array() for image in ax.images]
    for drawn in ax.collections:
        parts += [
            drawn.get_offsets(),
            np.asarray(drawn.get_facecolor()),
            *(path.vertices for path in drawn.get_paths()),
        ]
    return parts, (ax.get_xlabel(), ax.get_ylabel())


@pytest.mark.parametrize("name", OLD_AND_NEW)
def test_an_old_name_draws_the_same_and_says_what_to_write(name, ax):
    old, new = OLD_AND_NEW[name]
    with pytest.warns(DeprecationWarning, match=rf"{name} is now plots\.") as heard:
        old(ax)
    assert heard[0].filename == __file__
    other = ax.figure.add_subplot()
    new(other)
    (one, names), (two, same) = content(ax), content(other)
    assert names == same
    assert len(one) == len(two) > 0
    for drawn, again in zip(one, two):
        np.testing.assert_allclose(np.asarray(drawn, float), np.asarray(again, float), rtol=1e-5, atol=1e-7)


def test_every_old_name_is_compared():
    assert {name for name in plots.__all__ if name.startswith("plot_")} == set(OLD_AND_NEW)


def test_the_interval_and_the_answer_can_be_given_under_the_old_name(ax):
    with pytest.warns(DeprecationWarning, match="is now plots"):
        plots.plot_dimension_against_scale(ax, SCALES, interval=(2, 3), dimension=2)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["interval", "answer: 2", "neighbours"]
    assert set(ax.lines[0].get_ydata()) == {2}
