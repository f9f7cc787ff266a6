"""Columns in different units: the dimension of standardized ones, and a word where wide columns hide narrow ones."""

import numpy as np
import pytest
import torch

from nflows_spread import dimension_of
from nflows_spread.dimension.column_scales import ColumnScales, ratio_of_scales, standardized
from nflows_spread.dimension.point_dimension import PointDimension
from support import refused

UNITS = np.array([1e3, 1.0, 1e-3, 1e2, 1.0, 1e-2])
HIDDEN = "with each column divided by its standard deviation the dimension is 2 (2 to 2)"


def surface(rows=1000):
    random = np.random.default_rng(0)
    u = random.uniform(-1.0, 1.0, size=(rows, 2))
    return np.sin(u @ random.normal(size=(2, 6)) + random.uniform(0.0, 6.0, 6))


def tube_in_two_units(rows):
    angle, height = np.random.default_rng(3).uniform(size=(2, rows)) * [[2.0 * np.pi], [3.0]]
    return np.stack([np.cos(angle), np.sin(angle), 1000.0 * height], axis=1)  # metres, metres, millimetres


def told_of_scales(found: PointDimension) -> list[str]:
    return [said for said in found.reservations if "the widest column varies" in said]


def test_standardized_columns_are_those_of_scikit_learn_in_float64():
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = np.column_stack([surface(), np.full(1000, 7.0)])
    expected = preprocessing.StandardScaler().fit_transform(x)
    np.testing.assert_allclose(standardized(torch.as_tensor(x)).numpy(), expected, atol=1e-12)
    assert standardized(torch.as_tensor(x, dtype=torch.float32)).dtype == torch.float64


@pytest.mark.parametrize("scale", [1e200, 1e-200])
def test_standardized_columns_are_those_of_columns_whose_squares_no_float_holds(scale):
    x = torch.as_tensor(surface())
    torch.testing.assert_close(standardized(x * scale), standardized(x), rtol=1e-9, atol=1e-12)


def test_standardize_is_the_dimension_of_columns_that_were_standardized_before():
    x = surface()
    scaled = (x - x.mean(0)) / x.std(0)
    for units in (np.ones(6), UNITS):
        found = dimension_of(x * units, standardize=True)
        assert (int(found), found.interval, found.reservations) == (2, (2, 2), ())
        assert found.value == pytest.approx(dimension_of(scaled).value, rel=1e-9)


def test_columns_that_hide_others_are_told_with_the_dimension_without_that():
    found = dimension_of(tube_in_two_units(2000))
    assert int(found) == 1
    (said,) = told_of_scales(found)
    assert HIDDEN in said
    assert said.endswith("take that, by standardize=True")


def test_an_interval_that_is_one_number_in_standardized_columns_is_told_too():
    found = dimension_of(surface() * UNITS)
    assert (int(found), found.interval[1]) == (2, 5)
    (said,) = told_of_scales(found)
    assert HIDDEN in said


def test_rows_of_groups_are_kept_apart_in_standardized_columns_too():
    measured = np.repeat(tube_in_two_units(500), 3, axis=0)
    measured[:, 2] += 1e-3 * np.random.default_rng(1).normal(size=1500)
    groups = np.repeat(np.arange(500), 3)
    found = dimension_of(measured, groups=groups)
    assert (int(found), int(dimension_of(measured, groups=groups, standardize=True))) == (1, 2)
    assert len(told_of_scales(found)) == 1


def test_nothing_is_said_where_units_do_not_matter():
    x = surface()
    assert told_of_scales(dimension_of(x)) == []
    assert told_of_scales(dimension_of(np.column_stack([x, np.full(1000, 1e6)]))) == []  # which does not vary
    line = np.random.default_rng(2).normal(size=(1000, 1))
    assert told_of_scales(dimension_of(np.column_stack([line, 1e-3 * line]))) == []  # narrow, and the dimension is 1


@pytest.mark.parametrize(
    ("as_they_come", "standardized_columns", "speaks"),
    [
        ((4, (3, 4)), (3, (3, 3)), True),
        ((2, (2, 6)), (2, (2, 2)), True),
        ((2, (2, 2)), (2, (2, 2)), False),
        ((2, (2, 2)), (5, (3, 6)), False),
        ((16, (3, 225)), (16, (5, 168)), False),  # images, whose borders hardly vary
    ],
)
def test_standardized_columns_speak_where_they_say_something_else_and_are_as_sure(
    as_they_come, standardized_columns, speaks
):
    assert ColumnScales(1e3, *standardized_columns).speaks_against(*as_they_come) == speaks


def test_a_column_that_does_not_vary_is_not_the_narrowest():
    x = torch.as_tensor(surface())
    constant = torch.full((1000, 1), 1e5, dtype=torch.float64)
    assert ratio_of_scales(torch.cat([x, constant], dim=1)) is None
    assert ratio_of_scales(constant) is None
    ratio = ratio_of_scales(torch.cat([x, 1e-3 * x], dim=1))
    assert ratio == pytest.approx(1e3 * float(x.std(0).max() / x.std(0).min()), rel=1e-6)


def test_distances_have_no_columns_to_be_standardized():
    with refused(TypeError, "standardize goes with X, got it with distances"):
        dimension_of(distances=np.ones((100, 40)), standardize=True)
