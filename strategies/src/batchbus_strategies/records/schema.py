"""A record's declaration, read once: its fields, what it is found by, and what has to be unique."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Final

from batchbus_strategies.records.declaring import DeclarationError, fields_of, id_field, unwritten_defaults
from batchbus_strategies.records.fields import Field, is_living, ordered_parts, plain, spoken_name, value_at
from batchbus_strategies.records.record import Record
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["OWN", "DeclarationError", "DeclaredColumn", "Schema", "Unique", "schema_of"]

OWN: Final = frozenset({"_id", "revision", "created_at", "updated_at", "deleted_at"})
"""Fields that every record has, and that a declaration may only show."""


@dataclass(frozen=True)
class Unique:
    """A field that is unique by itself."""

    name: str
    """Its path, from the record on: `vat`, `variants.sku`."""
    field: Field
    of_elements: bool


@dataclass(frozen=True)
class DeclaredColumn:
    """A column that files may have, or several of one pattern."""

    field: Field
    owner: Field
    """The field of the record or of the element that it belongs to: another one only for a part of a numbered list."""
    name: str
    """The path of the owner, from the record on: `title`, `variants.sku`."""
    of_element: bool


@dataclass(frozen=True)
class Schema:
    """What a `Record` declares."""

    record: type[Record]
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """For people: `stock level` for a class `StockLevel`."""
        return self.record.noun or spoken_name(self.record)

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.key)

    @cached_property
    def identity(self) -> str:
        """The name of the column that tells which record a row is about, or of the first of several."""
        return self.keys[0].column if self.keys else self.record.id_column or ""

    @cached_property
    def named(self) -> tuple[Field, ...]:
        """What filters and orders may name: the fields, behind the one for the id where files have a column for it."""
        if not self.record.id_column:
            return self.fields
        return (id_field("_id", self.record.id_column), *self.fields)

    @cached_property
    def rows(self) -> Field | None:
        """The list that each row of a file is an element of, if the record has one."""
        return next((field for field in self.fields if field.rows is not None), None)

    @cached_property
    def compared(self) -> tuple[Field, ...]:
        """The fields whose columns imports compare and never take over."""
        return tuple(field for field in self.fields if field.shown is not None and field.shown.compared)

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """The columns that files may have and that say nothing; with `<n>`, numbered ones."""
        shown = (field.column for field in self.fields if field.shown is not None and not field.shown.compared)
        written = (
            column
            for field in self.copied
            if field.copied
            for column in field.copied.written.values()
            if column not in field.copied.by.values()
        )
        return (*self.record.ignored, *shown, *written)

    @cached_property
    def columns(self) -> tuple[DeclaredColumn, ...]:
        """All of them, in the order of the declaration; the ids before what they are of."""
        found: list[DeclaredColumn] = []
        if self.record.id_column:
            own = id_field("_id", self.record.id_column)
            found.append(DeclaredColumn(own, own, "_id", False))
        for field in self.fields:
            if field.rows is None:
                found += [DeclaredColumn(part, field, field.path, False) for part in ordered_parts([field])]
                continue
            own = id_field("id", field.column)
            found.append(DeclaredColumn(own, own, f"{field.path}.id", True))
            for each in field.parts:
                name = f"{field.path}.{each.path}"
                found += [DeclaredColumn(part, each, name, True) for part in ordered_parts([each])]
        return tuple(found)

    @cached_property
    def combination(self) -> Field | None:
        """Of the elements, with its path inside them."""
        parts = self.rows.parts if self.rows else ()
        return next((field for field in parts if field.combination is not None), None)

    @cached_property
    def families(self) -> tuple[tuple[str, Field], ...]:
        """Those of the record and of its elements, each with a name of its own: its path, from the record on."""
        own = [(field.path, field) for field in self.fields if field.family is not None]
        parts = self.rows.parts if self.rows else ()
        prefix = f"{self.rows.path}." if self.rows else ""
        return (*own, *((prefix + field.path, field) for field in parts if field.family is not None))

    @cached_property
    def unique(self) -> tuple[Unique, ...]:
        """The key apart."""
        own = [Unique(field.path, field, False) for field in self.fields if field.unique and not field.key]
        return (*own, *self.unique_in_elements)

    @cached_property
    def unique_in_elements(self) -> tuple[Unique, ...]:
        if self.rows is None:
            return ()
        path = self.rows.path
        return tuple(Unique(f"{path}.{field.path}", field, True) for field in self.rows.parts if field.unique)

    def elements(self, document: Fields) -> list[Document]:
        """The elements of a document that are not deleted."""
        found = document.get(self.rows.path) if self.rows else None
        return [each for each in found if is_living(each)] if isinstance(found, list) else []

    def unique_values(self, document: Fields) -> Iterator[tuple[Unique, FieldValue, str]]:
        """The values of unique fields that a document has, each between its field and the id of the element that has it,
        or an empty text; what elements have, from the elements, and not from the field that repeats it."""
        for unique in self.unique:
            for owner in self.elements(document) if unique.of_elements else [document]:
                if (value := value_at(owner, unique.field.path)) is not None and value != "":
                    yield unique, value, str(owner.get("id", "")) if unique.of_elements else ""

    def spoken_unique(self, *, new: bool) -> str:
        """What of a record has to be unique, for people: `its handle, or a SKU or barcode of its variants,`. `new`: as it
        gets it."""
        own = [_spoken(field, self.name) for field in self.fields if field.key or field.unique]
        noun = self.rows.part_name if self.rows else ""
        of_elements = [_spoken(unique.field, noun) for unique in self.unique_in_elements]
        parts = [f"its {'new ' if new else ''}{' or '.join(own)}"] if own else []
        if of_elements:
            parts.append(
                f"a {'new ' if new else ''}{' or '.join(of_elements)} of its {self.rows.path if self.rows else ''}"
            )
        return f"{parts[0]}, or {parts[1]}," if len(parts) > 1 else "".join(parts) or "a value that has to be unique"

    @cached_property
    def found_by(self) -> frozenset[str]:
        """The paths, from the record on, of fields that something is found by: keys, references and unique fields."""
        prefix = f"{self.rows.path}." if self.rows else ""
        own = [(field.path, field) for field in self.fields if field.rows is None]
        of_elements = [(prefix + field.path, field) for field in (self.rows.parts if self.rows else ())]
        return frozenset(
            path
            for path, field in (*own, *of_elements)
            if any(each.key or each.unique or each.reference for each in (field, *ordered_parts([field])))
        )

    @cached_property
    def required(self) -> tuple[Field, ...]:
        """What a new record needs a value for."""
        return tuple(field for field in self.fields if field.required and field.rows is None)

    @cached_property
    def references_in_elements(self) -> tuple[Field, ...]:
        """With their paths inside of the elements."""
        return tuple(field for field in self.rows.parts if field.reference is not None) if self.rows else ()

    @cached_property
    def references(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.reference is not None)

    @cached_property
    def copied(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.copied is not None)

    def unwritten(self) -> Document:
        """What a new record has in fields that have no column."""
        return self._unwritten()

    @cached_property
    def _unwritten(self) -> Callable[[], Document]:
        return unwritten_defaults(self.record, self.fields, without=OWN)

    @cached_property
    def new_record(self) -> tuple[Fields, tuple[Field, ...]]:
        """What every new record begins with, and the fields whose values are not just what its row says."""
        simple = {
            field.path: field.constant[0]
            for field in self.fields
            if field.constant is not None and not field.unique and not field.shown and field.path not in OWN
        }
        return simple, tuple(field for field in self.fields if field.path not in simple and field.path not in OWN)

    @cached_property
    def new_element(self) -> tuple[Fields, tuple[Field, ...]]:
        """What every new element begins with, and the fields whose values are not just what the row says."""
        parts = self.rows.parts if self.rows else ()
        constants = {field.path: field.constant[0] for field in parts if field.constant is not None}
        return constants, tuple(field for field in parts if field.constant is None)

    @cached_property
    def by_path(self) -> Mapping[str, Field]:
        return {field.path: field for field in self.fields}

    @cached_property
    def validated_as_a_whole(self) -> bool:
        """Whether the model has validators that look at several fields."""
        return bool(self.record.__pydantic_decorators__.model_validators)


def _spoken(field: Field, owner: str) -> str:
    """The column of a field without the name of what it is of: `barcode` for `Variant Barcode`, and `SKU` as it is."""
    name = field.column
    if name.lower().startswith(f"{owner} "):
        name = name[len(owner) + 1 :]
    return name if name.isupper() else name[:1].lower() + name[1:]


@lru_cache(maxsize=256)
def schema_of(record: type[Record]) -> Schema:
    """Raises `DeclarationError`."""
    if not getattr(record, "collection", ""):
        raise DeclarationError(
            f'{record.__name__} names no collection: class {record.__name__}(Record, collection="…")'
        )
    schema = Schema(record, tuple(fields_of(record, record.__name__)))
    if clash := OWN & {field.path for field in schema.fields if field.shown is None}:
        raise DeclarationError(f"{record.__name__}.{min(clash)} is a field that every record has by itself")
    if not record.id_column and not schema.keys:
        raise DeclarationError(
            f"{record.__name__} has no Key and no id_column: it takes one to find the record that a row is about"
        )
    if not record.found_by_key and not (record.id_column and schema.keys):
        raise DeclarationError(f"{record.__name__} is not found by its key, so it needs an id_column besides the key")
    _check_columns(schema)
    _check_lists(schema, {field.path for field in schema.fields})
    return schema


def _check_columns(schema: Schema) -> None:
    record = schema.record.__name__
    names: dict[str, Field | None] = {}
    if schema.record.id_column:
        names[plain(schema.record.id_column)] = None
    if schema.rows is not None:
        names[plain(schema.rows.column)] = schema.rows
    for field in schema.fields:
        if field.key and (field.shape != "one" or field.reference):
            raise DeclarationError(f"{record}.{field.path} cannot be a Key: only a field with a column of its own can")
        for part in ordered_parts([field]):
            if part.family is not None:
                continue
            for name in (part.column, *part.also):
                other = names.setdefault(plain(name), part)
                if other is not part:
                    of = f"{record}.{other.path}" if other else "the ids"
                    raise DeclarationError(f"{record}.{field.path} and {of} have the same column {name!r}")


def _check_lists(schema: Schema, owned: set[str]) -> None:
    record = schema.record.__name__
    if sum(field.rows is not None for field in schema.fields) > 1:
        raise DeclarationError(f"{record} has Rows twice: a row can be one element, of one list")
    for field in schema.fields:
        if field.combination is not None:
            raise DeclarationError(f"{record}.{field.path}: a Combination belongs into a part with Rows")
        if field.index is not None:
            raise DeclarationError(f"{record}.{field.path} needs no index: only unique fields of parts with Rows do")
    combination = schema.combination.combination if schema.combination else None
    taken = OWN | owned
    if combination is not None and combination.names is not None:
        if combination.names.field in taken:
            raise DeclarationError(f"{record}.{combination.names.field} has the names of a Combination, and no column")
        taken = taken | {combination.names.field}
    for unique in schema.unique_in_elements:
        if unique.field.index in taken:
            raise DeclarationError(f"{record}.{unique.name} has the index {unique.field.index}, which is another field")
        taken = taken | {str(unique.field.index)}
