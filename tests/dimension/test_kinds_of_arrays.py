"""What users bring to estimates without a flow: arrays, data frames, tensors, other default devices, extreme units."""

import numpy as np
import pandas as pd
import pytest
import torch

from nflows_spread import dimension_of
from nflows_spread.dimension import local_dimensions, neighbour_dimension, pointwise_dimension, tangent_spaces
from support import refused


def plane(rows=300, features=6, seed=0):
    draws = np.random.default_rng(seed)
    return draws.normal(size=(rows, 2)) @ draws.normal(size=(2, features))


KINDS = {
    "array": lambda x: x,
    "in columns": np.asfortranarray,
    "of three axes": lambda x: x.reshape(len(x), 2, 3),
    "data frame": pd.DataFrame,
    "list": lambda x: x.tolist(),
}
ASKED = {
    "dimension_of": lambda x: dimension_of(x).estimates,
    "local_dimensions": local_dimensions,
    "local_dimensions of data": lambda x: local_dimensions(x, x),
    "local_dimensions of groups": lambda x: local_dimensions(x, groups=np.arange(len(x))),
    "neighbour_dimension": lambda x: neighbour_dimension(x, generator=torch.Generator().manual_seed(0)),
    "tangent_spaces": tangent_spaces,
}


@pytest.fixture
def meta():
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_no_tensor_gets_what_a_tensor_gets_as_numpy_arrays(kind):
    x = plane()
    expected = local_dimensions(torch.from_numpy(x))
    found = local_dimensions(kind(x))
    assert all(type(each) is np.ndarray for each in (found.dimensions, found.estimates, found.standard_errors))
    assert found == expected
    assert type(pointwise_dimension(kind(x), data=kind(x))) is np.ndarray
    assert tangent_spaces(kind(x)) == tangent_spaces(torch.from_numpy(x))


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_it_does_not_matter_where_new_tensors_are_by_default(ask, request):
    x = plane()
    expected = ask(x)
    request.getfixturevalue("meta")
    assert ask(x) == expected


def test_local_dimensions_compare_and_tell_themselves():
    x = plane()
    found = local_dimensions(x)
    assert found == local_dimensions(x)
    assert found != local_dimensions(x, neighbours=10)
    assert found != local_dimensions(x[:200])
    assert found != 2
    counts = f"2 at {int((found.dimensions == 2).sum())}"
    assert repr(found).startswith(f"LocalDimensions({counts}")
    assert repr(found).endswith("of 300 points, by 20 neighbours)")


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_float64_does_not_hold_the_squares_of_is_refused_in_words(ask):
    x = plane()
    with refused(ValueError, "must vary by less than 1e+140", "divide it by its scale"):
        ask(x * 1e200)
    with refused(ValueError, "more than 1e-140"):
        ask(x * 1e-200)
    outlier = x.copy()
    outlier[7, 3] = 1e300
    with refused(ValueError, "got 1e+300", "drop rows of fill values"):
        ask(outlier)


@pytest.mark.parametrize("factor", [1e-100, 1e100])
def test_other_units_change_no_dimension(factor):
    x = plane()
    assert dimension_of(x * factor) == 2
    assert dimension_of(x * factor).scales.scales[0] == pytest.approx(dimension_of(x).scales.scales[0] * factor)
    assert local_dimensions(x * factor).estimates == pytest.approx(local_dimensions(x).estimates)


def test_the_value_is_no_more_than_the_features():
    found = dimension_of(np.eye(60))
    assert found.value <= 60
    assert found.interval[1] <= 59
