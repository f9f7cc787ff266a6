"""Titles of panels: none runs into another or over the edge of its figure, and short ones stay as they are."""

import pytest

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from shared.titles import fit_titles, overlapping

LONG = "prior in 32 semi-tied pieces: samples, nearest data"


def figure_of(titles, above="cifar10, profile full, seed 0"):
    figure = Figure(figsize=(3.75 * len(titles), 3.5), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(above)
    for place, (axes, title) in enumerate(zip(figure.subplots(1, len(titles)), titles)):
        axes.set_title(title)
        if place == 1:
            axes.imshow([[0.0] * 3] * 8)  # a narrow panel, as a grid of images makes
    return figure


@pytest.mark.parametrize("titles", [[LONG] * 8, ["data", LONG, LONG, "data"], [LONG + " of the second flow", "data"]])
def test_long_titles_get_smaller_letters_until_none_runs_into_another(titles):
    figure = figure_of(titles)
    figure.draw_without_rendering()
    before = [axes.title for axes in figure.axes]
    crowded = bool(overlapping(before)) or any(title.get_window_extent().x0 < 0 for title in before)
    assert crowded  # else there is nothing to mend
    fit_titles(figure)
    figure.draw_without_rendering()
    after = [axes.title for axes in figure.axes]
    assert overlapping(after) == []
    boxes = [title.get_window_extent() for title in after]
    assert all(box.x0 >= -1.0 and box.x1 <= figure.bbox.width + 1.0 for box in boxes)
    assert [title.get_fontsize() for title in after if title.get_text() == "data"] == [12.0] * titles.count("data")


def test_a_title_with_a_colon_is_broken_there_before_it_gets_smaller():
    figure = figure_of([LONG, "prior in 16 scales: error of reconstructions"])
    fit_titles(figure)
    texts = [axes.get_title() for axes in figure.axes]
    assert texts[0] == "prior in 32 semi-tied pieces:\nsamples, nearest data"
    assert figure.axes[0].title.get_fontsize() == 12.0


def test_titles_that_have_room_stay_as_they_are():
    figure = figure_of(["data", "samples"])
    fit_titles(figure)
    assert {axes.title.get_fontsize() for axes in figure.axes} == {12.0}


def test_what_never_fits_ends_at_the_smallest_letters():
    figure = figure_of([10 * LONG, 10 * LONG])
    fit_titles(figure)
    assert min(axes.title.get_fontsize() for axes in figure.axes) == 5.0
