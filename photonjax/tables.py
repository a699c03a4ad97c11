"""Tables as plain text, for terminals and log files alike."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["text_table"]


def text_table(rows: Sequence[Mapping[str, Any]] | Sequence[Sequence[Any]], left: int = 1) -> str:
    """Rows under their headings, as wide as they need to be: nothing is wrapped or cut off.

    Args:
      rows: mappings, whose keys (those of the first row) are the headings; or sequences, of which the
        first row holds the headings. Cells are shown as ``str`` shows them.
      left: how many columns are aligned to the left; the others, numbers as a rule, to the right.

    Returns:
      The lines, without a line break at the end; an empty string where there are no rows.

    Raises:
      KeyError, ValueError: a row lacks a column of the first one, or has another number of cells.

    >>> print(text_table([{"core": "ideal", "rows": 1024}, {"core": "albireo", "rows": 27}]))
    core     rows
    -------------
    ideal    1024
    albireo    27
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return ""
    head: list[Any] = list(rows[0])
    cells = [
        [row[name] for name in head] if isinstance(row, Mapping) else list(row)
        for row in (rows if isinstance(rows[0], Mapping) else rows[1:])
    ]
    for row in cells:
        if len(row) != len(head):
            raise ValueError(f"text_table: {row!r} has {len(row)} cells under {len(head)} headings")
    rule = "    \n" * 2 + "----\n" + "    \n" * 5
    table = Table(
        box=box.Box(rule, ascii=True), show_edge=False, pad_edge=False, padding=(0, 0, 0, 1)
    )
    for i, name in enumerate(head):
        table.add_column(Text(str(name)), justify="left" if i < left else "right", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(str(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=1_000_000, color_system=None, legacy_windows=False).print(
        table, no_wrap=True, crop=False, soft_wrap=True
    )
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
