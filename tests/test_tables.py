"""Text tables: alignment, headings, and cells that are shown as they are."""

import pytest

from photonjax.tables import text_table


def test_mappings_and_sequences_give_the_same_table():
    rows = [{"name": "a", "x": 1, "y": 2.5}, {"name": "bcd", "x": 10, "y": "-"}]
    table = text_table(rows)
    assert table == text_table([list(rows[0]), *(list(row.values()) for row in rows)])
    assert table.splitlines() == [
        "name   x    y",
        "-------------",
        "a      1  2.5",
        "bcd   10    -",
    ]


def test_two_columns_to_the_left():
    assert (
        text_table([("a", "word", "n"), ("b", "x", 100)], left=2).splitlines()[2] == "b  x     100"
    )


def test_nothing_is_wrapped_cut_or_read_as_markup(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    cells = ["[bold]adc[/bold]", "x" * 300, "two words " * 40, ":smiley:"]
    line = text_table([("a", "b", "c", "d"), cells]).splitlines()[2]
    assert all(cell.strip() in line for cell in cells)


def test_no_rows_and_uneven_rows():
    assert text_table([]) == ""
    with pytest.raises(ValueError, match="has 1 cells under 2 headings"):
        text_table([("a", "b"), ("c",)])
    with pytest.raises(KeyError):
        text_table([{"a": 1}, {"b": 1}])
