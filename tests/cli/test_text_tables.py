"""Text tables are read whatever separates their columns and marks their decimals."""

import numpy as np
import pytest

from nflows_spread.cli.data_files import ReadOptions, read_table
from support import refused

pandas = pytest.importorskip("pandas")

ROWS = np.random.default_rng(0).normal(size=(12, 3))
FORMATS = [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")]


@pytest.mark.parametrize(("separator", "decimal"), FORMATS)
@pytest.mark.parametrize("names", [["height", "width", "b"], ["height, cm", "width", "b"], None], ids=str)
def test_a_table_is_read_by_its_separator_and_its_decimal_mark(separator, decimal, names, tmp_path):
    path = tmp_path / "data.csv"
    frame = pandas.DataFrame(ROWS, columns=names)
    frame.to_csv(path, index=False, header=names is not None, sep=separator, decimal=decimal)
    table = read_table(path, ReadOptions())
    np.testing.assert_allclose(np.asarray(table.rows), ROWS, rtol=1e-12)
    assert table.names == names


def test_blanks_separate_columns_too(tmp_path):
    np.savetxt(tmp_path / "data.csv", ROWS)
    np.testing.assert_allclose(read_table(tmp_path / "data.csv", ReadOptions()).rows, ROWS)
    np.savetxt(tmp_path / "named.csv", ROWS, header="a b c", comments="")
    assert read_table(tmp_path / "named.csv", ReadOptions()).names == ["a", "b", "c"]


def test_a_mark_of_the_byte_order_is_no_part_of_a_name(tmp_path):
    pandas.DataFrame(ROWS, columns=["a", "b", "c"]).to_csv(tmp_path / "data.csv", index=False, encoding="utf-8-sig")
    assert read_table(tmp_path / "data.csv", ReadOptions()).names == ["a", "b", "c"]


def test_the_numbers_of_rows_that_pandas_writes_are_no_data(tmp_path):
    pandas.DataFrame(ROWS, columns=["a", "b", "c"]).to_csv(tmp_path / "data.csv")
    with pytest.warns(UserWarning, match=r"the first column of data\.csv has no name .* it is left out"):
        table = read_table(tmp_path / "data.csv", ReadOptions())
    assert table.names == ["a", "b", "c"]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet", ".h5ad"])
def test_a_damaged_file_is_named(suffix, tmp_path):
    for name in {".parquet": ["pyarrow"], ".h5ad": ["anndata"]}.get(suffix, []):
        pytest.importorskip(name)
    path = tmp_path / f"data{suffix}"
    path.write_bytes(b"" if suffix == ".csv" else b"xx")
    with refused(ValueError, f"data{suffix} cannot be read as {suffix}: ", "; save it again"):
        read_table(path, ReadOptions())


def test_a_table_of_names_alone_is_refused(tmp_path):
    (tmp_path / "data.csv").write_text("a,b\n")
    with refused(ValueError, "data.csv must hold at least one row, got none below its 2 names of columns"):
        read_table(tmp_path / "data.csv", ReadOptions())
