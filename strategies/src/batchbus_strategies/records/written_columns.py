"""The columns of an export: which it takes to hold all of its records, and the cell of each in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from batchbus_strategies.lookup import look_up
from batchbus_strategies.records.combinations import Combinations
from batchbus_strategies.records.fields import Field, is_living, value_at
from batchbus_strategies.records.keyed import find
from batchbus_strategies.records.schema import DeclaredColumn, Schema
from batchbus_strategies.strategy import Catalog
from batchbus_strategies.tables import WrittenCell

__all__ = ["ReferencedNames", "Shape", "WrittenColumn", "WrittenRow", "columns_of", "rows_of"]

_COMBINATION: Final = "combination"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """A row: a record, and which of its elements; None for a record without, and for records of one row."""

    document: Document
    element: Mapping[str, Any] | None
    combination: Sequence[tuple[str, str]] = ()
    """The record's names, and what the element has for each."""


def rows_of(schema: Schema, document: Document) -> Iterator[WrittenRow]:
    """At least one."""
    elements = schema.elements(document)
    if not elements:
        yield WrittenRow(document, None)
    elif schema.combination is None:
        yield from (WrittenRow(document, each) for each in elements)
    else:
        combinations = Combinations(schema)
        names = combinations.names(document)
        for each in elements:
            values = combinations.values(names, each)
            yield WrittenRow(document, each, [(name, values.get(name, "")) for name in names])


@dataclass(slots=True)
class Shape:
    """How many columns numbered fields take, the names that named ones and families have, and which columns are there at
    all of those that only some exports have.

    Fields of elements stand under their paths from the record on: `variants.images`.
    """

    numbers: dict[str, int] = field(default_factory=dict)
    names: dict[str, set[str]] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    """The paths that `only_with` names, and that some record has something at."""

    def fit(self, schema: Schema, document: Mapping[str, Any]) -> int:
        """Widen it so that the record fits. Returns how many rows it has."""
        self._fit(schema.fields, "", document)
        for each in schema.fields:
            if each.shown is not None and (path := each.shown.only_with) and path not in self.there:
                self.there |= {path} if value_at(document, path) is not None else set()
        if schema.rows is None:
            return 1
        elements = schema.elements(document)
        for element in elements:
            self._fit(schema.rows.parts, f"{schema.rows.path}.", element)
        if schema.combination is not None and elements:
            names = Combinations(schema).names(document)
            self.numbers[_COMBINATION] = max(self.numbers.get(_COMBINATION, 0), len(names))
        return max(1, len(elements))

    def _fit(self, fields: Sequence[Field], prefix: str, owner: Mapping[str, Any]) -> None:
        for each in fields:
            name = prefix + each.path
            if each.shape == "numbered" or each.several:
                self.numbers[name] = max(self.numbers.get(name, 0), len(_items(owner, each)))
            elif each.shape == "named":
                self.names.setdefault(name, set()).update(value_at(owner, each.path) or ())
            elif each.family is not None:
                identities = map(each.family.columns.identity, _items(owner, each))
                self.names.setdefault(name, set()).update(found for found in identities if found is not None)

    def as_json(self) -> dict[str, Any]:
        return {
            "numbers": dict(self.numbers),
            "names": {name: sorted(found) for name, found in self.names.items()},
            "there": sorted(self.there),
        }

    @classmethod
    def from_json(cls, shape: Mapping[str, Any]) -> Shape:
        names = {name: set(found) for name, found in shape["names"].items()}
        return cls(dict(shape["numbers"]), names, set(shape.get("there", ())))


def _items(owner: Mapping[str, Any], each: Field) -> list[Any]:
    """What is in a list of an owner; of a family, what is not deleted."""
    found = value_at(owner, each.path)
    if not isinstance(found, list):
        return []
    return [item for item in found if is_living(item)] if each.family is not None else found


class ReferencedNames:
    """The values that references stand in cells as."""

    def __init__(self, catalog: Catalog, schema: Schema) -> None:
        self._catalog = catalog
        self._fields = schema.references
        self._known: dict[str, dict[Any, Any]] = {field.path: {} for field in schema.references}

    async def look_up(self, documents: Sequence[Document]) -> None:
        for each in self._fields:
            reference, known = each.reference, self._known[each.path]
            assert reference
            ids = dict.fromkeys(id_ for document in documents for id_ in _ids(value_at(document, each.path)))
            unknown = [id_ for id_ in ids if id_ not in known]
            found = await look_up(self._catalog[reference.collection], "_id", unknown, fields=[reference.by])
            known |= {id_: document.get(reference.by) for id_, document in found.items()}

    def of(self, each: Field, value: Any) -> str:
        """Without those that are not there any more."""
        known = self._known[each.path]
        names = [str(known[id_]) for id_ in _ids(value) if known.get(id_) is not None]
        return each.write(names) if isinstance(value, list) else "".join(names)


def _ids(value: Any) -> list[Any]:
    """Those that a reference field holds."""
    return value if isinstance(value, list) else [] if value is None else [value]


@dataclass(frozen=True, slots=True)
class WrittenColumn:
    """A column of an export."""

    header: str
    field: Field
    of_element: bool
    part: Field | None = None
    """Of a numbered field whose values are parts; of a combination, for the column of the value."""
    place: int | str | None = None
    """Which of the values of a numbered or named field, or of a family."""

    def cell(self, row: WrittenRow, names: ReferencedNames) -> WrittenCell:
        owner: Mapping[str, Any] | None = row.element if self.of_element else row.document
        each = self.field
        if owner is None:
            return ""
        if each.shape == "id":
            return str(owner.get(each.path, ""))
        if each.combination is not None:
            assert isinstance(self.place, int)
            pair = row.combination[self.place] if self.place < len(row.combination) else ("", "")
            return pair[0 if self.part is None else 1]
        value = value_at(owner, each.path)
        if each.reference is not None:
            return names.of(each, value)
        if each.copied is not None:
            return self._of_copies(value)
        if each.items is not None:
            return self._of_items(each, each.items.field, value)
        if each.family is not None:
            return self._of_family(each, value)
        if self.place is None:
            return each.cell(owner)
        if isinstance(self.place, str):
            value = value.get(self.place) if isinstance(value, Mapping) else None
        else:
            items = _items(owner, each)
            value = items[self.place] if self.place < len(items) else None
            if self.part is not None and value is not None:
                return self.part.write(value_at(value, self.part.path))
        return each.write(value)

    def _of_copies(self, value: Any) -> str:
        """`part` stands for the field of the copy."""
        assert self.part is not None
        if self.place is not None:
            assert isinstance(self.place, int)
            there = value if isinstance(value, list) else []
            value = there[self.place] if self.place < len(there) else None
        return self.part.write(value_at(value, self.part.path)) if isinstance(value, Mapping) else ""

    def _of_items(self, each: Field, name: str, value: Any) -> str:
        found = [item[name] for item in value if is_living(item) and item.get(name)] if isinstance(value, list) else []
        if self.place is None:
            return each.write(found)
        assert isinstance(self.place, int)
        return str(found[self.place]) if self.place < len(found) else ""

    def _of_family(self, each: Field, items: Any) -> str:
        assert each.family and isinstance(self.place, str)
        found = find(items, each.family.columns.identity, self.place) if isinstance(items, list) else None
        return "" if found is None else each.family.columns.write(items[found])


def columns_of(chosen: Sequence[DeclaredColumn], shape: Shape, families: Mapping[str, Any]) -> Iterator[WrittenColumn]:
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


def _several(
    column: DeclaredColumn, parts: Sequence[Field], shape: Shape, families: Mapping[str, Any]
) -> Iterator[WrittenColumn]:
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
        for n in range(shape.numbers.get(name, 1)) if owner.several else (None,):
            for by, pattern in owner.copied.by.items():
                header = pattern if n is None else pattern.replace("<n>", str(n + 1))
                yield WrittenColumn(header, owner, of_element, replace(owner, path=by), n)
    elif owner.shape == "combination":
        for n in range(shape.numbers.get(_COMBINATION, 1)):
            yield WrittenColumn(owner.column.replace("<n>", str(n + 1)), owner, of_element, place=n)
            yield WrittenColumn(owner.also[0].replace("<n>", str(n + 1)), owner, of_element, owner, n)
    else:
        for n in range(shape.numbers.get(name, 1)):
            for part in parts:
                header = part.column.replace("<n>", str(n + 1))
                yield WrittenColumn(header, owner, of_element, part if owner.parts else None, n)
