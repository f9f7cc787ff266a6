"""Colours of plots: told apart by colour-blind readers, and one for each of many categories."""

import numpy as np
import pytest

from nflows_spread.plots import colours
from support import refused

DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Linear RGB as such readers see it: G. Machado, M. Oliveira, L. Fernandes, IEEE TVCG 15 (2009), severity 1."""

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
APART = 15.0  # CIE76; a difference of 2.3 is just seen


def lab(colour, deficiency):
    """CIE L*a*b* of a colour #rrggbb as such a reader sees it."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    x, y, z = TO_XYZ @ np.clip(np.array(deficiency) @ linear, 0.0, 1.0) / TO_XYZ.sum(1)
    f = [v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29 for v in (x, y, z)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("name", DEFICIENCIES)
def test_colour_blind_readers_tell_the_colours_apart(name):
    own = (colours.DATA_COLOUR, colours.MODEL_COLOUR, colours.REFERENCE_COLOUR)
    for palette in (colours.CATEGORY_COLOURS, own):
        seen = [lab(colour, DEFICIENCIES[name]) for colour in palette]
        apart = [np.linalg.norm(one - two) for i, one in enumerate(seen) for two in seen[:i]]
        assert min(apart) > APART


def test_the_measure_sees_that_red_and_green_are_confused():
    red, green = (lab(colour, DEFICIENCIES["deuteranopia"]) for colour in ("#d62728", "#2ca02c"))
    assert np.linalg.norm(red - green) < APART


def test_rare_categories_share_a_colour():
    values = np.repeat(np.array([f"kind {i}" for i in range(12)]), np.arange(13, 1, -1))
    found = colours.categories_of(values)
    assert [name for name, _, _ in found] == [*(f"kind {i}" for i in range(7)), "5 others"]
    assert len({colour for _, colour, _ in found}) == 8
    np.testing.assert_array_equal(sum(chosen.astype(int) for _, _, chosen in found), 1)


def test_colours_of_rows_are_numbers_or_categories():
    assert colours.colours_of_rows([1, 2, 3], 3).dtype.kind == "i"
    assert list(colours.colours_of_rows([True, False], 2)) == ["True", "False"]
    assert list(colours.colours_of_rows(np.array(["a", None], dtype=object), 2)) == ["a", "None"]
    with refused(ValueError, "colour must have one entry for each of the 3 rows, got shape (2,)"):
        colours.colours_of_rows([1, 2], 3)
    np.testing.assert_array_equal(colours.colours_of_rows([1.0, np.nan], 2), [1.0, np.nan])
    with refused(ValueError, "colour must be finite or NaN, got infinity"):
        colours.colours_of_rows([1.0, np.inf], 2)


def test_long_names_are_cut():
    names = ["short", "a name that is longer than any legend has room for"]
    found = sorted(name for name, _, _ in colours.categories_of(np.array(names)))
    assert found == ["a name that is longer t…", "short"]


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([1, 0, 1, 1], ["0", "1"]),
        ([1.0, 0.0, 1.0, 1.0], ["0", "1"]),
        ([-1, 10, 2, 2, 10, 2], ["-1", "2", "10"]),
        ([True, False, True, True], ["True", "False"]),
        (["b", "a", "b", "b"], ["b", "a"]),
    ],
)
def test_labels_are_categories_whatever_their_type_and_numbers_go_by_size(given, names):
    found = colours.colours_of_rows(given, len(given))
    assert found.dtype.kind == "U"
    assert [name for name, _, _ in colours.categories_of(found)] == names


@pytest.mark.parametrize(
    "given", [[0.5, 0.0, 1.0, 1.0], [0.0, np.nan, 1.0, 1.0], list(range(9)), 3 * list(range(9)), [0, 1, 2]]
)
def test_fractions_gaps_and_many_numbers_are_a_scale(given):
    assert colours.colours_of_rows(given, len(given)).dtype.kind in "if"
    assert colours.MOST_CATEGORIES == 8
