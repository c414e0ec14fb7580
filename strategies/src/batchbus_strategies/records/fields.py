"""`Field`: what is known of one field of a record, and how its cells and its values turn into each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, Literal

from bson.decimal128 import Decimal128
from pydantic import ValidationError

from batchbus_strategies.records.cells import CellType
from batchbus_strategies.records.columns import Combination, Copied, Empty, Family, Items, Reference, Rows, Shown
from batchbus_strategies.records.limit_messages import message_of
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = [
    "WITH_BLANKS",
    "Field",
    "Shape",
    "is_living",
    "ordered_parts",
    "plain",
    "remove_at",
    "set_at",
    "spoken_name",
    "trimmed",
    "value_at",
]

_BLANKS: Final = " \t\r\n\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff\u3000"
"""Ordinary, no-break and zero-width blanks: around a key they make twins that nobody can tell apart."""

_EDGES: Final = frozenset(_BLANKS)
WITH_BLANKS: Final = f"^[{_BLANKS}]|[{_BLANKS}]$"
"""A regular expression for texts that have such blanks around them."""

_OBJECTS: Final = (dict, Mapping)
"""What the driver reads is a dict, and a look at that is cheaper by far."""

Shape = Literal["one", "numbered", "named", "rows", "family", "combination", "copied", "id"]


@dataclass(frozen=True)
class Field:
    """One field of a record, or of a part of it."""

    path: str
    """Where it is in the document, with dots."""
    shape: Shape
    column: str
    """The name of its column; a pattern with `<n>` or `<name>` unless its shape is `one`."""
    also: tuple[str, ...]
    type: CellType
    nullable: bool
    required: bool
    empty: Empty
    default: Callable[[], Any]
    """What a new record has if the file says nothing."""
    key: bool = False
    unique: bool = False
    reference: Reference | None = None
    index: str | None = None
    """The field of the record that repeats the values of a unique field of elements."""
    parts: tuple[Field, ...] = ()
    """Of a list of parts: their fields, with paths inside the part."""
    part_name: str = ""
    """Of `Rows` and `Copied`, for people: `variant` for a class `Variant`."""
    rows: Rows | None = None
    family: Family | None = None
    combination: Combination | None = None
    copied: Copied | None = None
    copies: Fields = field(default_factory=dict)
    """Of `Copied`: the fields of a copy but for its id, each with what it has where the document has nothing."""
    several: bool = False
    """Whether it is a list of copies."""
    items: Items | None = None
    unwritten: Callable[[], Document] = dict
    """Of a list of parts: what a new element has in fields that have no column."""
    check: Callable[[FieldValue], Any] | None = None
    """Raises pydantic's `ValidationError` for a value that the declaration does not allow; None if it allows all."""
    description: str = ""
    example: str = ""
    shown: Shown | None = None
    """Of a field whose column is only compared."""

    @cached_property
    def trimmed(self) -> bool:
        """Whether blanks of every kind are taken off: texts that something is found by."""
        return self.key or self.unique or self.reference is not None

    @cached_property
    def constant(self) -> tuple[FieldValue] | None:
        """What a new record or element has if nothing is said, where that is the value of one field, and the same each time."""
        if self.shape != "one" or self.items is not None or "." in self.path:
            return None
        value = self.default()
        return (value,) if value is None or isinstance(value, str | int | float | bool) else None

    @property
    def nothing(self) -> FieldValue:
        """The value of an empty cell."""
        return [] if self.type.code == "list" and self.shown is None else None

    @cached_property
    def parse(self) -> Callable[[str], Any]:
        """The value of a cell; None, or an empty list, for an empty one. Raises `ValueError` with a message for people."""
        if self.shown is not None:
            return lambda cell: cell.strip(_BLANKS) or None
        if self.type.code == "text" and self.check is None:
            return (lambda cell: trimmed(cell) or None) if self.trimmed else lambda cell: cell or None
        strip, parse, check = self._stripped, self.type.parse, self.check
        is_list = self.type.code == "list"

        def parsed(cell: str) -> FieldValue:
            text = strip(cell)
            if not text:
                return [] if is_list else None
            value = parse(text)
            if check is not None:
                self._refuse(value, check)
            return value

        return parsed

    @property
    def _stripped(self) -> Callable[[str], str]:
        """Takes off the blanks of a cell that do not belong to its value."""
        if self.type.code == "text":
            return trimmed if self.trimmed else str
        return (lambda cell: trimmed(cell).strip()) if self.trimmed else str.strip

    def _refuse(self, value: object, check: Callable[[FieldValue], Any]) -> None:
        """Raises `ValueError` for a value that the declaration does not allow."""
        try:
            check(value)
        except ValidationError as error:
            example = self.example if self.example != self.type.example else ""  # that one fits the type alone
            message = message_of(error.errors()[0], description=self.description, example=example)
            raise ValueError(message) from None

    def write(self, value: object) -> str:
        """The cell of a value as it is stored."""
        return "" if value is None else self.type.write(value)

    def as_key(self, value: object) -> str:
        """A value as text that is the same for all forms of it: 5, 5.0 and a decimal of 5.00 are `5`."""
        number = value.to_decimal() if isinstance(value, Decimal128) else value
        if isinstance(number, Decimal | float) and self.type.code in ("integer", "number"):
            exact = Decimal(str(number))
            return f"{exact.normalize() + 0:f}" if exact.is_finite() else str(number)
        return self.write(value)

    def canonical(self, cell: str) -> str:
        """The cell of a key as every file and the catalogue write it; as it is if it cannot be used."""
        if self.type.code == "text":
            return cell
        try:
            return self.as_key(self.type.parse(trimmed(cell)))
        except ValueError:
            return cell

    def cell(self, owner: Fields) -> str | int | Decimal | None:
        """The cell of a field that has one column, given the whole document, or the whole element."""
        if self.shown is not None and self.shown.cell is not None:
            return self.shown.cell(owner)
        return self.write(value_at(owner, self.path))


def trimmed(text: str) -> str:
    """A text that something is found by, without blanks of any kind around it."""
    if text and text[0] not in _EDGES and text[-1] not in _EDGES:
        return text
    return text.strip(_BLANKS)


def value_at(document: Fields, path: str, default: FieldValue = None) -> FieldValue:
    """What a document has at a path with dots, or `default` if it has nothing there."""
    if "." not in path:
        return document.get(path, default)
    value: FieldValue = document
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return value


def set_at(document: Document, path: str, value: object) -> None:
    if "." not in path:
        document[path] = value
        return
    *outer, last = path.split(".")
    for name in outer:
        inner = document.get(name)
        if not isinstance(inner, dict):
            inner = document[name] = {}
        document = inner
    document[last] = value


def remove_at(document: Document, path: str) -> None:
    """Nothing happens if there is nothing."""
    *outer, last = path.split(".")
    for name in outer:
        inner = document.get(name)
        if not isinstance(inner, dict):
            return
        document = inner
    document.pop(last, None)


def is_living(element: object) -> bool:
    """Whether an element of a list is there: it is an object, and has not been marked as deleted."""
    return isinstance(element, _OBJECTS) and element.get("deleted_at") is None


def plain(name: str) -> str:
    """A column's name without what people write in different ways: case, blanks, punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum() or character in "<>")


def ordered_parts(fields: Sequence[Field]) -> Iterator[Field]:
    """The fields with columns of their own: of a list of parts, those of the parts."""
    for each in fields:
        if each.parts:
            yield from ordered_parts(each.parts)
        else:
            yield each


def spoken_name(model: type) -> str:
    """The name of a class as people say it: `stock level` for `StockLevel`, `vat rate` for `VATRate`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", model.__name__).lower()
