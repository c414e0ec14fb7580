"""The columns of an export, in their order, and the values that references stand in them as."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from batchbus_strategies.lookup import look_up
from batchbus_strategies.records.fields import Field, value_at
from batchbus_strategies.records.schema import DeclaredColumn, Schema
from batchbus_strategies.records.shape import COMBINATION, Shape
from batchbus_strategies.strategy import Catalog, Fields, FieldValue

__all__ = ["ReferencedNames", "WrittenColumn", "columns_of"]


class ReferencedNames:
    """The values that references stand in cells as."""

    def __init__(self, catalog: Catalog, schema: Schema) -> None:
        self._catalog = catalog
        self._schema = schema
        self._known: dict[tuple[str, str], dict[Any, FieldValue]] = {}
        """By collection and field: the values, by the ids of the documents."""

    async def look_up(self, documents: Sequence[Fields]) -> None:
        await self._look_up(self._schema.references, documents)
        if fields := self._schema.references_in_elements:
            await self._look_up(fields, [each for document in documents for each in self._schema.elements(document)])

    async def _look_up(self, fields: Sequence[Field], owners: Sequence[Fields]) -> None:
        for each in fields:
            reference = each.reference
            assert reference
            known = self._known.setdefault((reference.collection, reference.by), {})
            ids = dict.fromkeys(id_ for owner in owners for id_ in _ids(value_at(owner, each.path)))
            unknown = [id_ for id_ in ids if id_ not in known]
            found = await look_up(self._catalog[reference.collection], "_id", unknown, fields=[reference.by])
            known |= {id_: document.get(reference.by) for id_, document in found.items()}

    def of(self, each: Field, value: object) -> str:
        """Without those that are not there any more."""
        assert each.reference
        known = self._known[each.reference.collection, each.reference.by]
        names = [str(known[id_]) for id_ in _ids(value) if known.get(id_) is not None]
        return each.write(names) if isinstance(value, list) else "".join(names)


def _ids(value: object) -> list[FieldValue]:
    """Those that a reference field holds."""
    return value if isinstance(value, list) else [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """A column of an export."""

    header: str
    field: Field
    of_element: bool
    part: Field | None = None
    """Of a numbered field whose values are parts; of copies, for the field of the copy; of a combination, for the column
    of the value."""
    place: int | str | None = None
    """Which of the values of a numbered or named field, or of a family."""


def columns_of(chosen: Sequence[DeclaredColumn], shape: Shape, families: Fields) -> Iterator[WrittenColumn]:
    """Numbered columns go number by number; of a template, and of an empty collection, the first.

    `families`: what `load_families` has given; without it, the columns of families are left out.
    """
    done: set[str] = set()
    for column in chosen:
        owner, name = column.owner, column.name
        if owner.shown is not None and owner.shown.only_with and owner.shown.only_with not in shape.there:
            continue
        if owner.shape in ("one", "id"):
            yield WrittenColumn(owner.column, owner, column.of_element)
        elif name not in done:
            done.add(name)
            parts = [each.field for each in chosen if each.name == name]
            yield from _several(column, parts, shape, families)


def _several(column: DeclaredColumn, parts: Sequence[Field], shape: Shape, families: Fields) -> Iterator[WrittenColumn]:
    """The columns of a field that has several."""
    owner, name, of_element = column.owner, column.name, column.of_element
    if owner.family is not None:
        if name in families:
            for identity, header in owner.family.columns.headers(sorted(shape.names.get(name, ())), families[name]):
                yield WrittenColumn(header, owner, of_element, place=identity)
    elif owner.shape == "named":
        for key in sorted(shape.names.get(name, ())):
            yield WrittenColumn(owner.column.replace("<name>", key), owner, of_element, place=key)
    elif owner.copied is not None:
        for n in range(shape.numbers.get(name, 1) if owner.several else 1):
            for of, pattern in (owner.copied.written or owner.copied.by).items():
                yield WrittenColumn(pattern.replace("<n>", str(n + 1)), owner, of_element, replace(owner, path=of), n)
    elif owner.shape == "combination":
        for n in range(shape.numbers.get(COMBINATION, 1)):
            yield WrittenColumn(owner.column.replace("<n>", str(n + 1)), owner, of_element, place=n)
            yield WrittenColumn(owner.also[0].replace("<n>", str(n + 1)), owner, of_element, owner, n)
    else:
        for n in range(shape.numbers.get(name, 1)):
            for part in parts:
                header = part.column.replace("<n>", str(n + 1))
                yield WrittenColumn(header, owner, of_element, part if owner.parts else None, n)
