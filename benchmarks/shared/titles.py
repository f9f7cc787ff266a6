"""Titles of a figure's panels that keep clear of each other and within the figure: two lines or smaller letters."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.text import Text

_APART = 6.0
"""Pixels between two titles, at the least: a choice."""

_SMALLER, _SMALLEST = 0.95, 5.0
"""By what the letters shrink in a step, and their least size in points: choices."""


def fit_titles(figure: Figure) -> None:
    """Break titles that run into another title or over the edge after their colon, and then shrink their letters.

    The wider one comes first.

    Args:
        figure: with everything in it; it is laid out here, and no more when it is drawn, which takes as long again.
    """
    figure.draw_without_rendering()
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    top = getattr(figure, "_suptitle", None)
    titles += [top] if top is not None and top.get_text() else []
    while _break(figure, titles):
        figure.draw_without_rendering()  # panels make room for second lines
    while crowded := _crowded(figure, titles):
        crowded[0].set_fontsize(max(_SMALLEST, _SMALLER * float(crowded[0].get_fontsize())))
    figure.set_layout_engine("none")


def _break(figure: Figure, titles: list[Text]) -> bool:
    """Give crowded titles of one line with a colon a second one, the widest first; whether one has got it."""
    broken = False
    while can := [t for t in _crowded(figure, titles) if ": " in t.get_text() and "\n" not in t.get_text()]:
        can[0].set_text(can[0].get_text().replace(": ", ":\n", 1))
        broken = True
    return broken


def overlapping(titles: list[Text], apart: float = 0.0) -> list[tuple[Text, Text]]:
    """Pairs of titles whose letters are nearer to each other, in pixels."""
    boxes = [title.get_window_extent().padded(0.5 * apart) for title in titles]
    return [(titles[i], titles[j]) for i, j in combinations(range(len(titles)), 2) if boxes[i].overlaps(boxes[j])]


def _crowded(figure: Figure, titles: list[Text]) -> list[Text]:
    """Titles that can be smaller and run into another or over the edge, the widest first."""
    width = figure.bbox.width
    found = [title for pair in overlapping(titles, _APART) for title in pair]
    boxes = [(title, title.get_window_extent()) for title in titles]
    found += [title for title, box in boxes if box.x0 < 0.0 or box.x1 > width]
    can = [title for title in found if float(title.get_fontsize()) > _SMALLEST]
    return sorted(can, key=lambda title: -title.get_window_extent().width)
