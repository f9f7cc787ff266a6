"""Samples of the rows of large arrays and files: which rows, and that files are not read whole."""

import numpy as np
import pytest
import torch

from nflows_spread.dimension import row_sample
from nflows_spread.dimension.row_sample import RowSample, sampled_rows
from support import refused

N = 20_000


def table(dtype=np.float64):
    """Rows that know their numbers."""
    return np.stack([np.arange(N), 2.0 * np.arange(N), -np.arange(N)], axis=1).astype(dtype)


def mapped(folder, array, **options):
    np.save(folder / "rows.npy", array)
    return np.load(folder / "rows.npy", **{"mmap_mode": "r", **options})


def seeded():
    return torch.Generator().manual_seed(0)


KINDS = {
    "array": lambda folder: table(),
    "tensor": lambda folder: torch.from_numpy(table()),
    "file": lambda folder: mapped(folder, table()),
    "file in columns": lambda folder: mapped(folder, np.asfortranarray(table())),
    "file of whole numbers": lambda folder: mapped(folder, table(np.int32)),
    "file that was changed in memory only": lambda folder: mapped(folder, 0.0 * table(), mmap_mode="c"),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_rows_are_drawn_without_replacement_and_are_those_of_their_numbers(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(row_sample, "_READ", 700)
    array = kind(tmp_path)
    if getattr(array, "mode", "r") == "c":
        array[:] = table()
    rows, first, count, _ = sampled_rows("X", array, 3000, seeded())
    numbers = rows[:, 0].numpy()
    assert count == N
    assert rows.shape == (3000, 3)
    np.testing.assert_array_equal(rows, table()[numbers.astype(int)])
    assert len(np.unique(numbers)) == 3000
    # the numbers are uniform: their mean, to five standard errors
    assert numbers.mean() == pytest.approx(N / 2, abs=5 * N / np.sqrt(12 * 3000))
    np.testing.assert_array_equal(first, table()[:5000])


@pytest.mark.parametrize("part", [slice(7, None), slice(100, 15_000)])
def test_a_part_of_a_file_is_sampled_as_the_same_array(part, tmp_path):
    found = sampled_rows("X", mapped(tmp_path, table())[part], 3000, seeded())
    expected = sampled_rows("X", table()[part], 3000, seeded())
    for one, other in zip(found[:2], expected[:2], strict=True):
        assert torch.equal(one, other)


def test_all_rows_are_taken_where_there_are_no_more():
    rows, first, count, _ = sampled_rows("X", table()[:100], 100, seeded())
    assert torch.equal(rows, torch.from_numpy(table()[:100]))
    assert torch.equal(first, rows)
    assert count == 100


@pytest.mark.parametrize("kind", ["array", "file"])
def test_a_drawn_row_that_is_not_finite_is_named(kind, tmp_path):
    x = table()
    x[10_000:, 1] = np.nan
    array = x if kind == "array" else mapped(tmp_path, x)
    with refused(ValueError, "X must be finite, got NaN or infinity in", "of the 3000 rows that were drawn"):
        sampled_rows("X", array, 3000, seeded())


def test_what_is_no_matrix_of_numbers_is_refused():
    with refused(ValueError, "X must be a matrix, one row a point, got shape (20000,)"):
        sampled_rows("X", table()[:, 0], 3000, seeded())
    with refused(TypeError, "X must hold real numbers, got dtype complex128"):
        sampled_rows("X", table().astype(complex), 3000, seeded())


def test_a_sample_says_what_it_is():
    assert str(RowSample(100, 100, 100)) == "all 100 rows"
    assert str(RowSample(100, 500, 90)) == "100 of 500 rows, drawn at random, 90 of them distinct"
