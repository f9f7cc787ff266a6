"""Tables of text: columns line up, whatever is in them."""

from shared.tables import aligned, markdown

ROWS = [["", "ms", "ratio"], ["ours", "1.25", "2× faster"], ["nflows'", "10", ""]]


def test_columns_are_as_wide_as_their_widest_cell_and_no_line_ends_with_a_space():
    assert aligned(ROWS).splitlines() == [
        "         ms    ratio",
        "ours     1.25  2× faster",
        "nflows'  10",
    ]


def test_numbers_line_up_at_the_right():
    assert aligned(ROWS, right=True).splitlines() == [
        "           ms      ratio",
        "ours     1.25  2× faster",
        "nflows'    10",
    ]


def test_rows_printed_one_by_one_line_up_where_widths_are_given():
    one_by_one = "\n".join(aligned([row], widths=(10, 6, 12), right=True, gap="") for row in ROWS)
    assert one_by_one == aligned(ROWS, widths=(10, 6, 12), right=True, gap="")
    assert one_by_one.splitlines()[0] == "              ms       ratio"


def test_the_same_in_markdown():
    assert markdown(ROWS[0], ROWS[1:2]) == "|  | ms | ratio |\n| --- | --- | --- |\n| ours | 1.25 | 2× faster |"
