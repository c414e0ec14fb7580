"""Where in a row everything is: what a header comes to."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchbus_strategies.records.families import FamilyColumn
from batchbus_strategies.records.fields import Field

__all__ = ["Cells", "Layout"]


@dataclass(slots=True)
class Cells:
    """Where in a row the cells of a record, or of an element of its rows, are: as indexes of the row's cells."""

    fixed: list[tuple[int, Field]] = field(default_factory=list)
    """In the order of the declaration."""
    numbered: list[tuple[Field, list[list[tuple[int, Field]]]]] = field(default_factory=list)
    """Of each numbered field, for each number, where its column or the columns of its parts are."""
    named: list[tuple[Field, list[tuple[str, int]]]] = field(default_factory=list)
    """Of each named field, its keys in the file, and where they are."""
    families: list[tuple[Field, list[tuple[int, FamilyColumn]]]] = field(default_factory=list)
    combination: tuple[Field, list[tuple[int, int]]] | None = None
    """For each number, where the name is, and where its value."""


@dataclass(slots=True)
class Layout(Cells):
    """Where everything in a row is; the cells of the record itself are the layout's own."""

    header: tuple[str, ...] = ()
    id: int | None = None
    delete: int | None = None
    element: Cells | None = None
    """Of a record that spans several rows: where its elements' cells are."""
    element_id: int | None = None

    @property
    def width(self) -> int:
        return len(self.header)
