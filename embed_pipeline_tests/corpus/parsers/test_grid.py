from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.corpus.parsers.grid import Cell, spread

CELLS = st.builds(Cell, st.text("abc", max_size=3), st.integers(1, 4), st.integers(0, 4))


def test_a_short_cell_stands_wherever_it_spans_and_a_long_one_once():
    long = "x" * 81
    assert spread([[Cell("a", 2, 2), Cell("b")], [Cell("c")]]) == [["a", "a", "b"], ["a", "a", "c"]]
    assert spread([[Cell(long, 2, 2), Cell("b")], [Cell("c")]]) == [[long, "", "b"], ["", "", "c"]]


def test_a_row_of_one_cell_is_that_cell():
    assert spread([[Cell("a"), Cell("b")], [Cell("note", 2)], [Cell("c"), Cell("d")]])[1] == ["note"]


def test_cells_do_not_run_into_those_of_the_row_above():
    assert spread([[Cell("a"), Cell("b", 1, 2), Cell("c")], [Cell("d", 2), Cell("e")]]) == [
        ["a", "b", "c"],
        ["d", "b", "e"],
    ]


@given(st.lists(st.lists(CELLS, max_size=4), max_size=5))
def test_no_cell_is_lost(rows):
    grid = spread(rows)
    assert len(grid) == len(rows)
    for row, line in zip(rows, grid, strict=True):
        remaining = list(line)
        for cell in row:
            remaining = remaining[remaining.index(cell.text) + 1 :]


@given(st.lists(st.lists(st.text("ab", max_size=2), max_size=4), max_size=4))
def test_a_table_without_spans_stays_as_it_is(rows):
    assert spread([[Cell(text) for text in row] for row in rows]) == rows
