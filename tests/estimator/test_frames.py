"""Data frames in the estimator: which columns they may hold, and in which order they come back."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from nflows_spread.arrays import rows_of
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

pandas = pytest.importorskip("pandas")
sparse = pytest.importorskip("scipy.sparse")

SHORT = Recipe(steps=20, layers=2, hidden_features=8, bins=4)
NAMES = ["length", "width", "group"]


def measured(rows=200):
    """Two numbers and a truth value in each row."""
    draw = np.random.default_rng(0)
    return np.stack([draw.normal(size=rows), draw.normal(size=rows), draw.random(rows) < 0.5], axis=1)


def frame(**changed):
    columns = {"length": measured()[:, 0], "width": measured()[:, 1], "group": measured()[:, 2] > 0.5}
    return pandas.DataFrame(columns | changed)


@pytest.fixture(scope="module")
def fitted():
    return SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(frame())


def test_the_names_of_the_columns_are_kept_as_scikit_learn_keeps_them(fitted):
    assert fitted.feature_names_in_.tolist() == NAMES
    assert fitted.feature_names_in_.dtype == object


def test_a_later_fit_to_what_has_no_names_forgets_them():
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(frame())
    assert not hasattr(estimator.fit(measured()), "feature_names_in_")
    assert not hasattr(estimator.fit(frame()).fit(pandas.DataFrame(measured())), "feature_names_in_")


@pytest.mark.parametrize("method", ["transform", "score_samples", "pointwise_dimension"])
def test_columns_in_another_order_are_refused_and_the_remedy_works(fitted, method):
    expected, other = getattr(fitted, method)(frame()), frame()[["width", "group", "length"]]
    with refused(
        ValueError,
        "X must have the columns of fit in their order, 'length', 'width', 'group'",
        "got 'width', 'group', 'length'",
        "pass X[list(estimator.feature_names_in_)]",
    ):
        getattr(fitted, method)(other)
    np.testing.assert_array_equal(getattr(fitted, method)(other[list(fitted.feature_names_in_)]), expected)


def test_columns_of_other_names_are_refused_and_the_remedy_works(fitted):
    other = frame().rename(columns={"width": "breadth"})
    with refused(ValueError, "got no 'width', but 'breadth'", "pass X.to_numpy()"):
        fitted.transform(other)
    expected = fitted.transform(frame())
    np.testing.assert_array_equal(fitted.transform(other.to_numpy(dtype=float)), expected)


def test_columns_that_are_missing_are_asked_for(fitted):
    with refused(ValueError, "got no 'width'; pass all columns of fit"):
        fitted.transform(frame().drop(columns="width"))


def test_columns_beside_those_of_fit_are_refused_and_the_remedy_works(fitted):
    other = frame(height=1.0)
    with refused(ValueError, "got 'length', 'width', 'group', 'height'", "pass X[list(estimator.feature_names_in_)]"):
        fitted.transform(other)
    np.testing.assert_array_equal(fitted.transform(other[list(fitted.feature_names_in_)]), fitted.transform(measured()))


def test_labels_that_are_no_strings_have_an_order_too():
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(pandas.DataFrame(measured()))
    with refused(ValueError, "in their order, 0, 1, 2, got 1, 0, 2; pass these columns in this order"):
        estimator.transform(pandas.DataFrame(measured())[[1, 0, 2]])


def test_arrays_have_no_names_to_compare(fitted):
    np.testing.assert_array_equal(fitted.transform(measured()), fitted.transform(frame()))
    unnamed = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(measured())
    np.testing.assert_array_equal(unnamed.transform(frame()), fitted.transform(frame()))


ACCEPTED = {
    "truth values beside numbers": frame(),
    "dummies": pandas.get_dummies(frame(group=np.where(measured()[:, 2] > 0.5, "b", "a")), drop_first=True),
    "nullable": frame().convert_dtypes(),
    "nullable truth values": frame(group=pandas.array(measured()[:, 2] > 0.5, dtype="boolean")),
    "nullable integers": frame(group=pandas.array(measured()[:, 2].astype(int), dtype="Int8")),
    "a column that is called dtype": frame().rename(columns={"length": "dtype"}),
    "numbers among objects": frame().astype(object),
    "fractions among objects": frame(group=[Fraction(int(value)) for value in measured()[:, 2]]),
    "a sparse column": frame(group=pandas.arrays.SparseArray(measured()[:, 2])),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_columns_of_numbers_and_truth_values_are_taken_as_numbers(name):
    rows = rows_of("X", ACCEPTED[name])
    assert rows.dtype == torch.float64
    np.testing.assert_array_equal(rows, measured())


def test_a_frame_with_a_column_called_dtype_gets_its_results():
    called = frame().rename(columns={"length": "dtype"})
    assert SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(called).sample(3).shape == (3, 3)


def test_frames_of_single_precision_stay_in_it():
    assert rows_of("X", frame().astype("float32")).dtype == torch.float32


def test_numbers_among_objects_are_taken():
    rows = rows_of("X", np.array([[1, 2.5], [Fraction(1, 2), Decimal("0.25")]], dtype=object))
    np.testing.assert_array_equal(rows, [[1.0, 2.5], [0.5, 0.25]])


def test_frames_of_another_library_are_read_by_columns():
    polars = pytest.importorskip("polars")
    rows = rows_of("X", polars.DataFrame({name: frame()[name].to_numpy() for name in NAMES}))
    np.testing.assert_array_equal(rows, measured())


REFUSED = {
    "missing": (frame(group=pandas.array([None] + [True] * 199, dtype="boolean")), ValueError, "first at index 0"),
    "text": (
        frame(group="a"),
        TypeError,
        "with 'a' of type str in row 0 of column 'group'; convert numbers with .astype(float), and encode categories",
    ),
    "a text among objects": (
        frame(group=[*measured()[:199, 2].astype(object), "?"]),
        TypeError,
        "got dtype object, with '?' of type str in row 199 of column 'group'; convert numbers",
    ),
    "a gap among objects": (frame(group=[*measured()[:199, 2], None]).astype(object), ValueError, "first at index 199"),
    "categories": (frame(group=pandas.Categorical(["a"] * 200)), TypeError, "got dtype category in 'group'"),
    "dates": (frame(group=pandas.Timestamp("2020-01-01")), TypeError, "take the time since some moment as a float"),
    "complex": (frame(group=1j), TypeError, "got dtype complex128 in 'group'; pass .real, or both parts"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_columns_that_hold_no_real_numbers_are_refused_by_name(name):
    data, error, message = REFUSED[name]
    with refused(error, message):
        rows_of("X", data)


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_array", "dok_array"])
def test_sparse_matrices_are_refused_and_the_remedy_works(kind):
    matrix = getattr(sparse, kind)(measured())
    with refused(TypeError, f"X must be dense, got a sparse {kind} of shape (200, 3); pass X.toarray()"):
        rows_of("X", matrix)
    np.testing.assert_array_equal(rows_of("X", matrix.toarray()), measured())


@pytest.mark.parametrize("as_sparse", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_sparse_tensors_are_refused_and_the_remedy_works(as_sparse):
    tensor = as_sparse(torch.as_tensor(measured()))
    with refused(TypeError, "X must be dense, got a tensor of layout torch.sparse_", "pass X.to_dense()"):
        rows_of("X", tensor)
    np.testing.assert_array_equal(rows_of("X", tensor.to_dense()), measured())


def test_rows_of_several_lengths_are_refused():
    with refused(ValueError, "X must be a matrix, one row a point, got rows of several lengths"):
        rows_of("X", [[1.0, 2.0], [3.0]])
