"""Where in a row everything is: what a header comes to."""

from __future__ import annotations

from collections.abc import Iterator
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
    copied: list[tuple[Field, list[list[tuple[int, str]]]]] = field(default_factory=list)
    """Of each field of copies, for each number, where its columns are, and which field of the document each is of."""
    combination: tuple[Field, list[tuple[int, int]]] | None = None
    """For each number, where the name is, and where its value."""

    def places(self) -> Iterator[int]:
        """Of all cells."""
        yield from (place for place, _ in self.fixed)
        yield from (place for _, numbers in self.numbered for number in numbers for place, _ in number)
        yield from (place for _, keys in self.named for _, place in keys)
        yield from (place for _, columns in self.families for place, _ in columns)
        yield from (place for _, numbers in self.copied for number in numbers for place, _ in number)
        if self.combination is not None:
            yield from (place for pair in self.combination[1] for place in pair)


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
    def element_columns(self) -> frozenset[str]:
        """The names of the columns that are about elements, as the file has them."""
        if self.element is None:
            return frozenset()
        places = [*self.element.places(), *([] if self.element_id is None else [self.element_id])]
        return frozenset(self.header[place] for place in places)

    @property
    def width(self) -> int:
        return len(self.header)
