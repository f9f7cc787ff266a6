"""Header or none: no row of a text table is lost to its names, and no name of a row becomes a column."""

import numpy as np
import pytest

from nflows_spread.cli.data_files import ReadOptions, read_table
from support import refused

pandas = pytest.importorskip("pandas")

ROWS = np.round(np.random.default_rng(0).normal(size=(12, 3)), 6)
NAMES = ["a", "b", "c"]


def lines(rows=ROWS, separator=",", before="", after=""):
    return [before + separator.join(map(str, row)) + after for row in rows.tolist()]


def read(folder, *text, **options):
    path = folder / "data.csv"
    path.write_text("\n".join(text) + "\n")
    return read_table(path, ReadOptions(**options))


@pytest.mark.parametrize("first", [(0.0, 0.0, 0.0), (0.5, 0.5, 1.0), (np.nan, 0.5, 1.0), (0.5, np.nan, np.nan)])
@pytest.mark.parametrize("gap", ["", "NA", "nan"])
def test_a_first_row_with_equal_numbers_or_gaps_is_no_header(first, gap, tmp_path):
    rows = np.vstack([first, ROWS])
    frame = pandas.DataFrame(rows)
    frame.to_csv(tmp_path / "data.csv", index=False, header=False, na_rep=gap)
    table = read_table(tmp_path / "data.csv", ReadOptions())
    assert table.names is None
    np.testing.assert_array_equal(table.rows, rows)


def test_numbers_of_columns_as_pandas_writes_them_are_no_row(tmp_path):
    for index in (False, True):
        pandas.DataFrame(ROWS).to_csv(tmp_path / "data.csv", index=index)
        with pytest.warns(UserWarning, match=r"data\.csv counts its columns and is taken for their names") as said:
            table = read_table(tmp_path / "data.csv", ReadOptions())
        assert len(said) == 1 + index  # of the numbers of rows
        assert table.names == ["0", "1", "2"]
        np.testing.assert_array_equal(table.rows.to_numpy(), ROWS)


def test_numbers_among_names_are_pointed_out(tmp_path):
    kinds = [f"{line},rose" for line in lines()]
    with pytest.warns(
        UserWarning, match=f"taken for names of columns, of which {ROWS[0, 0]}, .* are numbers; put a line"
    ):
        assert len(read(tmp_path, *kinds, drop=("rose",)).rows) == len(ROWS) - 1
    names = "1_1,1_2,1_3"  # numbers to Python alone
    assert read(tmp_path, names, *lines()).names == names.split(",")


@pytest.mark.parametrize("separator", [",", " ", ";", "\t", "|"])
@pytest.mark.parametrize("numbered", [0, 1])
def test_names_of_rows_as_r_writes_them_are_left_out(separator, numbered, tmp_path):
    rows = [f'"{number}"{separator}{line}' for number, line in enumerate(lines(separator=separator), start=numbered)]
    with pytest.warns(UserWarning, match="an entry more than there are names of columns, .* as R writes it"):
        table = read(tmp_path, separator.join(f'"{name}"' for name in NAMES), *rows)
    assert table.names == NAMES
    np.testing.assert_array_equal(table.rows.to_numpy(), ROWS)


@pytest.mark.parametrize("header", [["a,b,c"], ["a,b,c,"], []], ids=str)
def test_delimiters_at_the_ends_of_lines_are_no_column(header, tmp_path):
    rows = ROWS.copy()
    rows[:, 0] = np.arange(len(rows))  # as numbers of rows are
    table = read(tmp_path, *header, *lines(rows, after=","))
    assert table.names == (NAMES if header else None)
    np.testing.assert_array_equal(np.asarray(table.rows), rows)


@pytest.mark.parametrize("separator", [",", " "])
@pytest.mark.parametrize("before", ["# ", "", "# of some day\n# "], ids=["comment", "names", "comments"])
def test_comments_above_the_rows_are_none_and_the_last_may_have_the_names(separator, before, tmp_path):
    table = read(tmp_path, before + separator.join(NAMES), *lines(separator=separator))
    assert table.names == NAMES
    np.testing.assert_array_equal(table.rows.to_numpy(), ROWS)


def test_comments_above_the_names_are_none(tmp_path):
    assert read(tmp_path, "# of three sensors", "", "a,b,c", *lines()).names == NAMES
    assert read(tmp_path, "# of three sensors", *lines()).names is None


def test_a_blank_in_the_name_of_the_only_column_separates_none(tmp_path):
    table = read(tmp_path, "height of wave", *map(str, ROWS[:, 0].tolist()))
    assert table.names == ["height of wave"]
    np.testing.assert_array_equal(table.rows.to_numpy()[:, 0], ROWS[:, 0])


def test_the_remedy_for_columns_of_text_can_be_pasted_into_a_shell(tmp_path):
    said = "must hold numbers, got kind of wave (x in row 1); mend these rows, or leave them out with --drop "
    with refused(ValueError, f"{said}'kind of wave'"):
        read(tmp_path, "a,b,c,kind of wave", *lines(after=",x"))


def test_blank_lines_above_the_names_hide_no_separator(tmp_path):
    table = read(tmp_path, "", "a;b;c", *lines(separator=";"))
    assert table.names == NAMES


@pytest.mark.parametrize("names", [["a,b,c"], []], ids=str)
def test_a_title_is_not_taken_for_the_only_column(names, tmp_path):
    with refused(ValueError, "each column of data.csv must have a name, or none, got 1 ", "3 columns below"):
        read(tmp_path, "Measurements", *names, *lines())


def test_text_of_two_bytes_a_letter_is_read_as_such_and_other_text_gets_a_remedy(tmp_path):
    frame = pandas.DataFrame(ROWS, columns=["größe", "b", "c"])
    frame.to_csv(tmp_path / "data.csv", index=False, sep="\t", encoding="utf-16")
    assert read_table(tmp_path / "data.csv", ReadOptions()).names == list(frame.columns)
    frame.to_csv(tmp_path / "data.csv", index=False, encoding="latin-1")
    with refused(ValueError, "data.csv cannot be read as .csv: 'utf-8' codec", "; save it as UTF-8"):
        read_table(tmp_path / "data.csv", ReadOptions())
