"""What ``fit`` takes as rows: arrays, data frames and lists, alone or with their context."""

import math

import numpy as np
import pytest
import torch

from nflows_spread.training import fit
from nflows_spread.training.tables import as_tensors
from training_toys import MeanSquare, rows, sgd

X = rows()


def frame(x=X, **columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x.numpy(), columns=["a", "b"]).assign(**columns)


class Recorder(MeanSquare):
    """Remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x, context=None):
        self.batches.append((x, context))
        return super().forward(x)


TABLES = {
    "a data frame": frame,
    "a list of lists": lambda: X.tolist(),
    "a list of tuples": lambda: [tuple(row) for row in X.tolist()],
    "a tuple of lists": lambda: tuple(X.tolist()),
    "a list of tensors": lambda: list(X),
    "a list of series": lambda: [row for _, row in frame().iterrows()],
    "a list of arrays": lambda: list(X.numpy()),
    "reversed rows": lambda: X.flip(0).numpy()[::-1],
    "the other byte order": lambda: X.numpy().astype(">f8"),
    "a read-only array": lambda: np.broadcast_to(X.numpy(), (60, 2)),
    "long doubles": lambda: X.numpy().astype(np.longdouble),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_of_all_kinds_are_the_tensor_of_their_rows(table):
    (found,) = as_tensors("data", table())
    assert torch.equal(found, X)
    objective = Recorder()
    result = fit(objective, table(), steps=6, batch_size=10, optimizer=sgd(objective), held_out=table())
    assert torch.equal(torch.cat([x for x, _ in objective.batches[:6]]).sort(0).values, X.sort(0).values)
    assert result.steps == 6


PAIRS = {
    "arrays": lambda: (X.numpy(), 2.0 * X.numpy()),
    "a list of two arrays": lambda: [X.numpy(), 2.0 * X.numpy()],
    "an array and a tensor": lambda: (X.numpy(), 2.0 * X),
    "data frames": lambda: (frame(), 2.0 * frame()),
    "lists": lambda: (X.tolist(), (2.0 * X).tolist()),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_pairs_of_tables_are_rows_and_their_context(pair):
    objective = Recorder()
    fit(objective, pair(), steps=6, batch_size=10, optimizer=sgd(objective), held_out=pair())
    assert all(torch.equal(context, 2.0 * x) for x, context in objective.batches)


def test_columns_of_a_frame_may_be_booleans_integers_and_nullable_numbers():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [True, False], "b": [1, 2], "c": pandas.array([0.5, 1.5], dtype="Float64")})
    (found,) = as_tensors("data", table)
    assert torch.equal(found, torch.tensor([[1.0, 1.0, 0.5], [0.0, 2.0, 1.5]], dtype=torch.float64))


class Sparse:
    """As SciPy's matrices are."""

    def toarray(self):
        return X.numpy()


BAD_TABLES = {
    "texts": (
        lambda: frame(c="text"),
        TypeError,
        r"data must hold real numbers, got dtype object, with 'text' .* in row 0 of column 'c'; .* encode categories",
    ),
    "dates": (
        lambda: frame().assign(a="2020-01-01", b="2020-01-02").astype("datetime64[ns]"),
        TypeError,
        "real numbers, got dtype datetime64.* in 'a', 'b'; take the time since some moment",
    ),
    "a frame of complex numbers": (lambda: frame(c=1j), TypeError, "real numbers, got dtype complex128 in 'c'"),
    "a list of complex numbers": (lambda: [[1.0, 1j]], TypeError, "real numbers, got dtype complex128"),
    "rows of two lengths": (
        lambda: [[0.0, 1.0], [0.0]],
        ValueError,
        r"of one length, got \[1, 2\]",
    ),
    "masked entries": (
        lambda: np.ma.masked_array(X.numpy(), X.numpy() > 0),
        TypeError,
        r"no masked entries, got \d+; fill them or drop",
    ),
    "a sparse matrix": (Sparse, TypeError, r"dense, got a sparse Sparse; pass data.toarray\(\)"),
    "a column": (lambda: frame()["a"], ValueError, r"at least one row, \(n, ...\), got shape \(60,\)"),
    "integers": (
        lambda: X.numpy().astype(int),
        TypeError,
        r"floating dtype, got int64; convert it with .astype\(float\)",
    ),
    "rows with their contexts": (
        lambda: [((0.0, 1.0), (0.5,))] * 4,
        ValueError,
        "pass rows and their context as two tables",
    ),
    "a context of no rows": (
        lambda: (X, []),
        TypeError,
        "context of data must be .*, got an empty list;",
    ),
    "no context": (lambda: (X, None), TypeError, "context of data must be .*, got NoneType; pass data alone"),
    "words as a context": (lambda: [X.numpy(), ["a"] * 60], TypeError, "context of data must be a tensor.*, got list;"),
    "columns by name": (lambda: {"a": X}, TypeError, "data must be a tensor, .*, got dict"),
    "missing values": (lambda: frame(c=math.nan), ValueError, "infinity in 60 of 60 rows"),
    "complex numbers": (lambda: X.numpy() * 1j, TypeError, "real numbers, got dtype complex128"),
}


@pytest.mark.parametrize(("table", "error", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_tables_that_are_none_are_refused(table, error, message):
    with pytest.raises(error, match=message):
        fit(MeanSquare(), table(), steps=1, batch_size=2)


def test_held_out_data_that_is_no_table_or_of_two_lengths_is_refused():
    with pytest.raises(TypeError, match=r"held_out must be a tensor, .* got function"):
        fit(MeanSquare(), X, steps=1, batch_size=2, held_out=lambda: None)
    with pytest.raises(ValueError, match=r"held_out and its context must have as many rows, got \[60, 3\]"):
        fit(MeanSquare(), X, steps=1, batch_size=2, held_out=(X, X[:3]))
