"""A record's declaration, read once: its fields, their columns, and how cells and values turn into each other."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from batchbus_strategies.records.cells import CellType, cell_type, choice_type, money_type
from batchbus_strategies.records.columns import Column, Empty, Key, Named, Numbered, Reference, Shown
from batchbus_strategies.records.record import Record

__all__ = ["OWN", "DeclarationError", "Field", "Schema", "schema_of"]

ID: Final = "_id"
OWN: Final = frozenset({ID, "revision", "created_at", "updated_at", "deleted_at"})
"""Fields that every record has, and that a declaration may only show."""
_BLANKS: Final = " \t\r\n\u00a0\u2007\u202f\u200b\u200c\u200d\u2060\ufeff\u3000"
"""Ordinary, no-break and zero-width blanks: around a key they make twins that nobody can tell apart."""

Shape = Literal["one", "numbered", "named"]


class DeclarationError(TypeError):
    """A record is declared in a way that cannot be carried out. The message names the class and the field."""


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
    parts: tuple[Field, ...] = ()
    """Of a numbered field whose values are parts: their fields, with paths inside the part."""
    check: Callable[[Any], Any] | None = None
    """Raises pydantic's `ValidationError` for a value that the declaration does not allow; None if it allows all."""
    description: str = ""
    example: str = ""
    shown: Shown | None = None
    """Of a field whose column is only compared."""

    @property
    def trimmed(self) -> bool:
        """Whether blanks of every kind are taken off: texts that something is found by."""
        return self.key or self.unique or self.reference is not None

    def parse(self, cell: str) -> Any:
        """The value of a cell; None for an empty one. Raises `ValueError` with a message for people."""
        if self.shown is not None:
            return cell.strip(_BLANKS) or None
        text = cell.strip(_BLANKS) if self.trimmed else cell
        if self.type.code != "text":
            text = text.strip()
        if not text:
            return [] if self.type.code == "list" else None
        value = self.type.parse(text)
        if self.check is not None:
            try:
                self.check(value)
            except ValidationError as error:
                raise ValueError(error.errors()[0]["msg"]) from None
        return value

    def write(self, value: Any) -> str:
        """The cell of a value as it is stored."""
        return "" if value is None else self.type.write(value)

    def cell(self, document: Mapping[str, Any]) -> str | int | Decimal | None:
        """The cell of a field that has one column, given the whole document."""
        if self.shown is not None and self.shown.cell is not None:
            return self.shown.cell(document)
        return self.write(value_at(document, self.path))


def trimmed(text: str) -> str:
    """A text that something is found by, without blanks of any kind around it."""
    return text.strip(_BLANKS)


@dataclass(frozen=True)
class Schema:
    """What a `Record` declares."""

    record: type[Record]
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """For people: `customer` for a class `Customer`."""
        return self.record.__name__.lower()

    @cached_property
    def keys(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.key)

    @cached_property
    def named(self) -> tuple[Field, ...]:
        """What an export has: the fields, behind the column for the id where files have one."""
        if not self.record.id_column:
            return self.fields
        text = cell_type(str)
        assert text is not None
        id_ = Field(ID, "one", self.record.id_column, (), text, False, True, "keeps", lambda: None)
        return (id_, *self.fields)

    @cached_property
    def identity(self) -> str:
        """The name of the column that tells which record a row is about, or of the first of several."""
        return self.keys[0].column if self.keys else self.record.id_column or ""

    @cached_property
    def unique(self) -> tuple[Field, ...]:
        """Fields that are unique each by itself, the key apart."""
        return tuple(field for field in self.fields if field.unique and not field.key)

    @cached_property
    def references(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.reference is not None)

    @cached_property
    def by_path(self) -> Mapping[str, Field]:
        return {field.path: field for field in self.fields}

    @cached_property
    def validated_as_a_whole(self) -> bool:
        """Whether the model has validators that look at several fields."""
        return bool(self.record.__pydantic_decorators__.model_validators)

    def key_of(self, document: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The key of a stored document, as rows have it; None if a part of it is missing."""
        values = [value_at(document, field.path) for field in self.keys]
        if any(value is None for value in values):
            return None
        return tuple(trimmed(field.write(value)) for field, value in zip(self.keys, values, strict=True))


def value_at(document: Mapping[str, Any], path: str, default: Any = None) -> Any:
    """What a document has at a path with dots, or `default` if it has nothing there."""
    value: Any = document
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return value


def set_at(document: dict[str, Any], path: str, value: Any) -> None:
    *outer, last = path.split(".")
    for name in outer:
        inner = document.get(name)
        if not isinstance(inner, dict):
            inner = document[name] = {}
        document = inner
    document[last] = value


@lru_cache(maxsize=256)
def schema_of(record: type[Record]) -> Schema:
    """Raises `DeclarationError`."""
    if not getattr(record, "collection", ""):
        raise DeclarationError(
            f'{record.__name__} names no collection: class {record.__name__}(Record, collection="…")'
        )
    fields = tuple(_fields(record, record.__name__, ""))
    if clash := OWN & {field.path for field in fields if field.shown is None}:
        raise DeclarationError(f"{record.__name__}.{min(clash)} is a field that every record has by itself")
    if not record.id_column and not any(field.key for field in fields):
        raise DeclarationError(
            f"{record.__name__} has no Key and no id_column: it takes one to find the record that a row is about"
        )
    names: dict[str, Field] = {}
    for field in fields:
        if field.key and (field.shape != "one" or field.reference):
            raise DeclarationError(
                f"{record.__name__}.{field.path} cannot be a Key: only a field with a column of its own can"
            )
        for part in field.parts or (field,):
            for name in (part.column, *part.also):
                other = names.setdefault(plain(name), field)
                if other is not field:
                    raise DeclarationError(
                        f"{record.__name__}.{field.path} and {record.__name__}.{other.path} have the same column {name!r}"
                    )
    return Schema(record, fields)


def plain(name: str) -> str:
    """A column's name without what people write in different ways: case, blanks, punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum() or character in "<>")


def _fields(model: type[BaseModel], owner: str, prefix: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        where = f"{owner}.{prefix}{name}"
        markers = [each for each in info.metadata if isinstance(each, Column | Reference | Numbered | Named)]
        if len(markers) > 1:
            raise DeclarationError(f"{where} has {len(markers)} columns; it can have one")
        kind, nullable = _without_none(info.annotation)
        if markers:
            yield _field(f"{prefix}{name}", info, markers[0], kind, nullable, where)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and not prefix.count(".") > 4:
            yield from _fields(kind, owner, f"{prefix}{name}.")


def _field(
    path: str, info: FieldInfo, marker: Column | Reference | Numbered | Named, kind: Any, nullable: bool, where: str
) -> Field:
    required = info.is_required()

    def default() -> Any:
        value = info.get_default(call_default_factory=True)
        return value.model_dump() if isinstance(value, BaseModel) else value

    clears = nullable or get_origin(kind) is list
    empty: Empty = getattr(marker, "empty", None) or ("clears" if clears else "keeps")
    common: dict[str, Any] = {
        "path": path,
        "nullable": nullable,
        "required": required,
        "default": default if not required else lambda: None,
        "description": info.description or "",
    }
    example = str(info.examples[0]) if info.examples else None
    match marker:
        case Reference():
            found = _type_of(kind if get_origin(kind) is list else str, where, None)
            return Field(
                shape="one",
                column=marker.column,
                also=tuple(marker.also),
                type=found,
                empty=empty,
                reference=marker,
                example=example or "",
                **common,
            )
        case Column():
            found = _type_of(kind, where, marker.currency)
            if isinstance(marker, Shown):
                empty = "keeps"
            return Field(
                shape="one",
                column=marker.name,
                also=tuple(marker.also),
                type=found,
                empty=empty,
                key=isinstance(marker, Key),
                shown=marker if isinstance(marker, Shown) else None,
                unique=marker.unique,
                check=_check(info, kind),
                example=found.example if example is None else example,
                **common,
            )
        case Numbered():
            return _numbered(marker, kind, where, example, common)
        case Named():
            value = get_args(kind)[1] if get_origin(kind) is dict else None
            found = _type_of(_without_none(value)[0], where, None)
            _has_placeholder(marker.pattern, "<name>", where)
            return Field(
                shape="named",
                column=marker.pattern,
                also=(),
                type=found,
                empty="clears",
                example=example or found.example,
                **common,
            )


def _numbered(marker: Numbered, kind: Any, where: str, example: str | None, common: dict[str, Any]) -> Field:
    value = get_args(kind)[0] if get_origin(kind) is list else None
    if isinstance(value, type) and issubclass(value, BaseModel) and not marker.pattern:
        parts = tuple(_fields(value, where, ""))
        for part in parts:
            _has_placeholder(part.column, "<n>", f"{where}.{part.path}")
        if not parts:
            raise DeclarationError(f"{where} is a list of {value.__name__}, none of whose fields has a column")
        return Field(
            shape="numbered",
            column=parts[0].column,
            also=(),
            type=parts[0].type,
            empty="clears",
            parts=parts,
            example=example or "",
            **common,
        )
    _has_placeholder(marker.pattern, "<n>", where)
    found = _type_of(value, where, None)
    return Field(
        shape="numbered",
        column=marker.pattern,
        also=(),
        type=found,
        empty="clears",
        example=example or found.example,
        **common,
    )


def _has_placeholder(pattern: str, placeholder: str, where: str) -> None:
    if pattern.count(placeholder) != 1:
        raise DeclarationError(f"{where}: the name of its columns has to have {placeholder} in it, once")


def _type_of(kind: Any, where: str, currency: str | None) -> CellType:
    if currency is not None:
        if kind is not int:
            raise DeclarationError(f"{where} has a currency, so it has to be an int: the amount in minor units")
        return money_type(currency)
    if get_origin(kind) is Literal:
        return choice_type([str(choice) for choice in get_args(kind)])
    if get_origin(kind) is list and get_args(kind) == (str,):
        kind = list
    found = cell_type(kind) if isinstance(kind, type) else None
    if found is None:
        raise DeclarationError(f"{where} has a type that no cell can hold: {kind!r}")
    return found


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """The type, and whether None is allowed besides."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [each for each in get_args(annotation) if each is not types.NoneType]
        if len(kinds) == 1:
            return _without_none(kinds[0])[0], len(kinds) < len(get_args(annotation))
    return annotation, False


def _check(info: FieldInfo, kind: Any) -> Callable[[Any], Any] | None:
    limits = [each for each in info.metadata if not isinstance(each, Column | Reference | Numbered | Named)]
    if not limits:
        return None
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[kind, *limits])
    return adapter.validate_python


def ordered_parts(fields: Sequence[Field]) -> Iterator[Field]:
    """The fields with columns of their own: of a numbered field of parts, those of the parts."""
    for field in fields:
        yield from field.parts or (field,)
