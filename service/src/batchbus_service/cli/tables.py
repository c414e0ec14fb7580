"""Tables, whatever the width of the terminal: what somebody may copy, such as an id, is never broken.

Where a table is wider than the terminal, its columns of prose become narrower. Where that is not enough, each row becomes
a few lines of its own. Where the output is no terminal, nothing is narrowed at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import Final

from rich.console import Console
from rich.text import Text

from batchbus_service.cli.output import out

__all__ = ["print_table"]

_GAP: Final = "  "
_NARROWEST: Final = 20
"""Characters below which prose is no pleasure to read."""

_Row = Sequence[Text]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, prose: Collection[str] = ()) -> None:
    """Cells may contain markup. `prose`: the columns that may be broken between two words."""
    console = out()
    cells = [[Text.from_markup(cell.replace("\n", " ")) for cell in row] for row in rows]
    flexible = [number for number, name in enumerate(columns) if name in prose]
    head = [Text(name, style="bold") for name in columns]
    widths = _widths([head, *cells], flexible, console.width if console.is_terminal else None)
    if widths is None:
        for row in cells:
            _print_block(console, columns, row)
        return
    for row in (head, *cells):
        _print_row(console, row, widths)


def _widths(rows: Sequence[_Row], flexible: Sequence[int], room: int | None) -> list[int] | None:
    """How wide each column is, in characters; None if they have no room side by side."""
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    if room is None:
        return widths
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    for number in flexible if excess > 0 else ():
        least = max(_NARROWEST, *(_longest_word(row[number]) for row in rows))
        given_up = max(0, min(excess, widths[number] - least))
        widths[number] -= given_up
        excess -= given_up
    return widths if excess <= 0 else None


def _print_row(console: Console, row: _Row, widths: Sequence[int]) -> None:
    wrapped = [_lines(console, cell, width) for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*wrapped, fillvalue=Text()):
        line = Text()
        for part, width in zip(parts, widths, strict=True):
            line.append_text(part)
            line.append(" " * (width - part.cell_len) + _GAP)
        line.rstrip()
        console.print(line)


def _print_block(console: Console, columns: Sequence[str], row: _Row) -> None:
    """The first cell is what the rest is about."""
    console.print(row[0])
    for name, cell in zip(columns[1:], row[1:], strict=True):
        if not cell.plain.strip():
            continue
        label = f"{_GAP}{name}{_GAP}" if name else _GAP
        if len(label) + cell.cell_len <= console.width:
            console.print(Text(label, style="bold") + cell)
            continue
        if name:
            console.print(Text(f"{_GAP}{name}", style="bold"))
        for line in _lines(console, cell, console.width - 2 * len(_GAP)):
            console.print(Text(2 * _GAP) + line)


def _lines(console: Console, cell: Text, width: int) -> list[Text]:
    """Broken between words alone: a word that is longer than a line has a line of its own."""
    if cell.cell_len <= width:
        return [cell]
    return list(cell.wrap(console, max(width, _longest_word(cell))))


def _longest_word(cell: Text) -> int:
    return max((Text(word).cell_len for word in cell.plain.split()), default=0)
