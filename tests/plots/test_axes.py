"""Axes of plots: new ones where none are given, files of vectors, titles that keep apart, errors without matplotlib."""

import io
import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from nflows_spread import plots
from nflows_spread.plots.axes import axes_for
from support import refused

DRAWN = {
    "dimension": lambda use, ax: plots.dimension(use("estimator"), ax=ax),
    "scale": lambda use, ax: plots.scale(use("found"), ax=ax),
    "spectrum": lambda use, ax: plots.spectrum(use("estimator"), ax=ax),
    "chart": lambda use, ax: plots.chart(use("estimator"), use("surface")[0], colour=use("surface")[1][:, 0], ax=ax),
    "samples": lambda use, ax: plots.samples(use("estimator"), use("surface")[0], ax=ax),
    "reconstructions": lambda use, ax: plots.reconstructions(use("estimator"), ax=ax),
    "density": lambda use, ax: plots.density(use("estimator"), use("surface")[0], ax=ax),
    "pieces": lambda use, ax: plots.pieces(use("atlas"), use("two_clusters")[0], ax=ax),
    "images": lambda use, ax: plots.images(np.zeros((2, 3, 3)), ax=ax),
}
every_plot = pytest.mark.parametrize("name", DRAWN)


def test_every_plot_is_here():
    own = {name for name in plots.__all__ if name.islower() and not name.startswith("plot_")}
    assert own == set(DRAWN)


@every_plot
def test_without_axes_there_is_a_new_figure(name, request):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    axes = DRAWN[name](request.getfixturevalue, None)
    assert axes.figure.number not in before
    pyplot.close(axes.figure)


@every_plot
@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_files_are_of_vectors_and_have_the_names_of_the_axes(name, kind, ax, request):
    import matplotlib

    DRAWN[name](request.getfixturevalue, ax)
    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "pdf.compression": 0}):
        ax.figure.savefig(stream, format=kind)
    content = stream.getvalue()
    if kind == "pdf":
        assert content.startswith(b"%PDF")
        return
    root = ElementTree.fromstring(content)
    bars = len(ax.figure.axes) - 1  # whose colours matplotlib writes as a picture
    assert len(root.findall(".//{http://www.w3.org/2000/svg}image")) == bars + (name == "images")
    text = " ".join(" ".join(root.itertext()).split())
    for label in (ax.get_xlabel(), ax.get_ylabel()):
        assert re.sub(r"\s+", " ", label) in text
    assert name == "images" or ax.get_xlabel()


def test_many_points_are_a_picture_within_the_vectors(ax):
    x = np.random.default_rng(0).normal(size=(3_000, 2))
    plots.samples(x, x, ax=ax)
    stream = io.BytesIO()
    ax.figure.savefig(stream, format="svg")
    root = ElementTree.fromstring(stream.getvalue())
    assert root.find(".//{http://www.w3.org/2000/svg}image") is not None
    assert len(stream.getvalue()) < 300_000


def test_names_of_axes_in_space_are_within_their_place():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    ax = plots.samples(
        np.ones((2, 3)), np.random.default_rng(0).normal(size=(50, 3)), ax=figure.add_subplot(projection="3d")
    )
    figure.draw_without_rendering()
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        place = axis.label.get_window_extent()
        assert figure.bbox.x0 <= place.x0 <= place.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= place.y0 <= place.y1 <= figure.bbox.y1


@pytest.mark.parametrize("size", [1e-4, 1.0, 1e5])
def test_names_of_axes_in_space_keep_clear_of_long_numbers(size):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    x = size * np.random.default_rng(0).normal(size=(50, 3))
    ax = plots.samples(x, x, ax=figure.add_subplot(projection="3d"))
    figure.draw_without_rendering()
    assert all((ax.get_xlabel(), ax.get_ylabel(), ax.get_zlabel()))
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        numbers = [text.get_window_extent() for text in axis.get_ticklabels() if text.get_text()]
        assert 2 <= len(numbers) <= 6
        middle = axis.label.get_window_extent()  # which is turned, so that its box is larger than it is
        center = np.array([middle.x0 + middle.x1, middle.y0 + middle.y1]) / 2
        assert not any(number.contains(*center) for number in numbers)


def test_a_few_numbers_far_out_leave_the_others_their_colours_and_are_told_of(ax):
    values = np.concatenate([np.linspace(0.0, 1.0, 197), [-900.0, np.nan, 900.0]])
    plots.chart(np.random.default_rng(0).normal(size=(200, 2)), colour=values, label="age", ax=ax)
    low, high = ax.collections[0].get_clim()
    assert -0.1 < low < 0.1
    assert 0.9 < high < 1.1
    bar = ax.figure.axes[1]
    assert bar.get_ylabel() == "age\n(colours: percentiles 2 to 98)"
    assert ax.collections[0].colorbar.extend == "both"


def test_numbers_without_any_far_out_have_colours_from_the_least_to_the_largest(ax):
    values = np.random.default_rng(0).normal(size=300)
    plots.chart(np.random.default_rng(1).normal(size=(300, 2)), colour=values, label="age", ax=ax)
    assert ax.collections[0].get_clim() == (values.min(), values.max())
    assert ax.figure.axes[1].get_ylabel() == "age"


def test_a_density_of_nothing_has_the_last_colour_and_hides_no_other(ax):
    values = np.array([-np.inf, *np.linspace(-3.0, 0.0, 49)])
    plots.density(values, np.random.default_rng(0).normal(size=(50, 2)), ax=ax)
    assert np.isfinite(ax.collections[0].get_clim()).all()
    assert "percentiles 2 to 98" in ax.figure.axes[1].get_ylabel()


@every_plot
def test_its_texts_keep_clear_of_a_title(name, request):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.4), layout="constrained")
    ax = figure.add_subplot()
    DRAWN[name](request.getfixturevalue, ax)
    ax.set_title("a title of the user's")
    figure.draw_without_rendering()
    title = ax.title.get_window_extent()
    labels = [label for label in (ax.xaxis.label, ax.yaxis.label) if ax.axison and label.get_text()]
    others = [*labels, *ax.texts, *([ax.get_legend()] if ax.get_legend() else [])]
    assert not any(title.overlaps(other.get_window_extent()) for other in others)
    inside = figure.bbox.padded(1.0)
    for text in (title, *(each.get_window_extent() for each in others)):
        assert inside.x0 <= text.x0 <= text.x1 <= inside.x1
        assert inside.y0 <= text.y0 <= text.y1 <= inside.y1


@pytest.mark.parametrize("name", ["dimension", "scale", "spectrum", "reconstructions", "images"])
def test_pictures_of_the_plane_refuse_axes_in_space(name, space, request):
    with refused(ValueError, "ax must be axes in the plane for this picture, got 3-D ones; leave out projection='3d'"):
        DRAWN[name](request.getfixturevalue, space)


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with refused(ImportError, 'pip install "nflows-spread[cli]"'):
        axes_for(None)
