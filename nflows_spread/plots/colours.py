"""Colour-blind-safe colours of plots: of data, of what a model makes of it, and of categories."""

from __future__ import annotations

from typing import Any

import numpy as np

CATEGORY_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Those of M. Okabe and K. Ito, which colour-blind readers tell apart."""

DATA_COLOUR, MODEL_COLOUR, REFERENCE_COLOUR = "#0072b2", "#d55e00", "#8a8a8a"
"""Two of them, and a grey for what the others are compared with."""

MOST_CATEGORIES = len(CATEGORY_COLOURS)
"""Different whole numbers up to which these are labels with a colour each, as 0 and 1 are, and not a scale: as many as
there are colours."""

_ROWS_OF_A_LABEL = 2
"""Rows of each on average, at the least, as numbers that are all different are no labels: a choice."""

NO_NUMBER = "#bbbbbb"
"""Of rows whose number is missing."""

_LONGEST = 24
"""Letters of a category's name in a legend: a choice."""

NUMBERS = "viridis"
"""The colour map of numbers: even in lightness, so that it reads in grey and by colour-blind readers."""


def categories_of(values: Any) -> list[tuple[str, str, Any]]:
    """Names, colours and rows of the most frequent of some categories, and of all others together.

    Args:
        values: (n,), of any type.

    Returns:
        Name, colour, and a mask (n,) of each, the most frequent first, or whole numbers by their size.
    """
    names, counts = np.unique(values, return_counts=True)
    most = len(CATEGORY_COLOURS) if len(names) <= len(CATEGORY_COLOURS) else len(CATEGORY_COLOURS) - 1
    kept = names[np.argsort(-counts, kind="stable")][:most]
    if all(_is_whole(str(name)) for name in kept):
        kept = np.array(sorted(kept, key=int))
    found = [(_short(str(name)), colour, values == name) for name, colour in zip(kept, CATEGORY_COLOURS)]
    if len(names) > len(kept):
        found.append((f"{len(names) - len(kept)} others", CATEGORY_COLOURS[-1], ~np.isin(values, kept)))
    return found


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isdecimal()


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def colours_of_rows(colour: Any, rows: int) -> Any:
    """One number, or one category as text, for each row, (n,); a few different whole numbers are categories.

    Args:
        colour: an array, tensor, list or column of a data frame.
        rows: n.

    Raises:
        ValueError: there is not one for each row, or a number is infinite; NaN is a row without one.
    """
    found = np.asarray(colour.detach().cpu()) if hasattr(colour, "detach") else np.asarray(colour)
    if found.shape != (rows,):
        raise ValueError(f"colour must have one entry for each of the {rows} rows, got shape {found.shape}")
    if found.dtype.kind in "uif":
        if np.isinf(found.astype(float)).any():
            raise ValueError("colour must be finite or NaN, got infinity; drop these rows, or give categories as text")
        return _labels_of(found)
    return found.astype(str)


def _labels_of(numbers: Any) -> Any:
    """The numbers, or, where these are a few different whole ones without gaps, what a legend calls them."""
    different = np.unique(numbers)
    few = len(different) <= min(MOST_CATEGORIES, len(numbers) // _ROWS_OF_A_LABEL)
    labels = few and np.array_equal(different, np.floor(different))
    return numbers.astype(int).astype(str) if labels else numbers


def name_of_colour(colour: Any, label: str | None) -> str:
    """What a legend calls the colours: a label that is given, or the name of the data frame's column."""
    if label is not None:
        return label
    name = getattr(colour, "name", None)
    return name if isinstance(name, str) else "colour"
