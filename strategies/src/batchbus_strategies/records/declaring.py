"""From the model that an author declares a record by to its fields; what cannot be carried out is a `DeclarationError`."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from batchbus_strategies.records.cells import CellType, cell_type, choice_type, money_type
from batchbus_strategies.records.columns import (
    Column,
    Combination,
    Empty,
    Family,
    Key,
    Marker,
    Named,
    Numbered,
    Reference,
    Rows,
    Shown,
)
from batchbus_strategies.records.fields import Field, spoken_name

__all__ = ["DeclarationError", "fields_of", "id_field"]

_OF_ELEMENTS: Final = frozenset({"id", "created_at", "updated_at", "deleted_at"})
"""Fields that every element of `Rows` has, and that no part may have a column for."""
_TEXT: Final = CellType("text", "text", str, str, "text")


class DeclarationError(TypeError):
    """A record is declared in a way that cannot be carried out. The message names the class and the field."""


def fields_of(model: type[BaseModel], owner: str, prefix: str = "") -> Iterator[Field]:
    """`owner`: what the messages of errors begin with. Raises `DeclarationError`."""
    for name, info in model.model_fields.items():
        where = f"{owner}.{prefix}{name}"
        markers = [each for each in info.metadata if isinstance(each, Marker)]
        if len(markers) > 1:
            raise DeclarationError(f"{where} has {len(markers)} columns; it can have one")
        kind, nullable = _without_none(info.annotation)
        if markers:
            yield _field(f"{prefix}{name}", info, markers[0], kind, nullable, where)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and not prefix.count(".") > 4:
            yield from fields_of(kind, owner, f"{prefix}{name}.")


def _field(path: str, info: FieldInfo, marker: Marker, kind: Any, nullable: bool, where: str) -> Field:
    required = info.is_required()

    def default() -> Any:
        value = info.get_default(call_default_factory=True)
        return value.model_dump() if isinstance(value, BaseModel) else value

    clears = nullable or get_origin(kind) is list
    empty: Empty = getattr(marker, "empty", None) or ("clears" if clears else "keeps")
    example = str(info.examples[0]) if info.examples else None
    field = Field(
        path=path,
        shape="one",
        column="",
        also=(),
        type=_TEXT,
        nullable=nullable,
        required=required,
        empty=empty,
        default=default if not required else lambda: None,
        description=info.description or "",
        example=example or "",
    )
    match marker:
        case Reference():
            found = _type_of(kind if get_origin(kind) is list else str, where, None)
            return replace(field, column=marker.column, also=tuple(marker.also), type=found, reference=marker)
        case Column():
            return _column(field, marker, info, kind, where)
        case Numbered():
            return _numbered(field, marker, kind, where)
        case Named():
            _has_placeholder(marker.pattern, "<name>", where)
            value = get_args(kind)[1] if get_origin(kind) is dict else None
            found = _type_of(_without_none(value)[0], where, None)
            example = example or found.example
            return replace(field, shape="named", column=marker.pattern, type=found, empty="clears", example=example)
        case Rows():
            return _rows(field, marker, kind, where)
        case Combination():
            return _combination(field, marker, where)
        case Family():
            return _family(field, marker, kind, where)


def id_field(path: str, column: str) -> Field:
    """The field of the ids of records or of elements."""
    return Field(
        path=path,
        shape="id",
        column=column,
        also=(),
        type=_TEXT,
        nullable=True,
        required=False,
        empty="keeps",
        default=lambda: None,
    )


def _column(field: Field, marker: Column, info: FieldInfo, kind: Any, where: str) -> Field:
    found = _type_of(kind, where, marker.currency)
    shown = marker if isinstance(marker, Shown) else None
    return replace(
        field,
        column=marker.name,
        also=tuple(marker.also),
        type=found,
        empty=field.empty if shown is None else "keeps",
        shown=shown,
        key=isinstance(marker, Key),
        unique=marker.unique,
        index=marker.index,
        check=_check(info, kind),
        example=field.example if info.examples else found.example,
    )


def _numbered(field: Field, marker: Numbered, kind: Any, where: str) -> Field:
    field = replace(field, shape="numbered", empty="clears")
    part = _part_of(kind)
    if part is not None and not marker.pattern:
        parts = tuple(fields_of(part, where))
        for each in parts:
            if each.shape != "one":
                raise DeclarationError(f"{where}.{each.path} has several columns, in a list that is numbered already")
            if each.shown is not None:
                raise DeclarationError(f"{where}.{each.path} is only shown, which a field in a list cannot be")
            _has_placeholder(each.column, "<n>", f"{where}.{each.path}")
        if not parts:
            raise DeclarationError(f"{where} is a list of {part.__name__}, none of whose fields has a column")
        return replace(field, column=parts[0].column, type=parts[0].type, parts=parts)
    _has_placeholder(marker.pattern, "<n>", where)
    found = _type_of(get_args(kind)[0] if get_origin(kind) is list else None, where, None)
    return replace(field, column=marker.pattern, type=found, example=field.example or found.example)


def _rows(field: Field, marker: Rows, kind: Any, where: str) -> Field:
    part = _part_of(kind)
    if part is None:
        raise DeclarationError(f"{where} has Rows, so it has to be a list of a Part")
    if "." in field.path:
        raise DeclarationError(
            f"{where} has Rows, which a field of the record itself can have, and none inside of another"
        )
    parts = tuple(fields_of(part, where))
    if sum(each.shape == "combination" for each in parts) > 1:
        raise DeclarationError(f"{where} has two Combinations; a part can have one")
    for each in parts:
        place = f"{where}.{each.path}"
        if each.path in _OF_ELEMENTS:
            raise DeclarationError(f"{place} is a field that every element has by itself")
        if each.shape == "rows" or each.key or each.reference:
            raise DeclarationError(f"{place}: a part with Rows can have no Rows, Key or Reference in it")
        if each.shown is not None:
            raise DeclarationError(f"{place} is only shown, which a field in a list cannot be")
        if each.unique and not each.index:
            raise DeclarationError(f'{place} is unique, so it takes an index: Column("…", unique=True, index="…")')
    return replace(
        field,
        shape="rows",
        column=marker.id_column,
        empty="keeps",
        parts=parts,
        rows=marker,
        part_name=spoken_name(part),
        unwritten=_unwritten(part, parts),
    )


def _combination(field: Field, marker: Combination, where: str) -> Field:
    _has_placeholder(marker.name_column, "<n>", where)
    _has_placeholder(marker.value_column, "<n>", where)
    return replace(
        field,
        shape="combination",
        column=marker.name_column,
        also=(marker.value_column,),
        empty="keeps",
        combination=marker,
    )


def _family(field: Field, marker: Family, kind: Any, where: str) -> Field:
    part = _part_of(kind)
    if part is None:
        raise DeclarationError(f"{where} is a Family, so it has to be a list of a Part")
    columns, unwritten = marker.columns, _unwritten(part, ())
    return replace(
        field,
        shape="family",
        column=columns.pattern,
        family=marker,
        unwritten=unwritten,
        example=columns.example[1],
    )


def _part_of(kind: Any) -> type[BaseModel] | None:
    value = get_args(kind)[0] if get_origin(kind) is list else None
    return value if isinstance(value, type) and issubclass(value, BaseModel) else None


def _unwritten(part: type[BaseModel], written: tuple[Field, ...]) -> Callable[[], dict[str, Any]]:
    """The defaults of the fields that no column is for."""
    names = {each.path.partition(".")[0] for each in written}
    rest = [(name, info) for name, info in part.model_fields.items() if name not in names and not info.is_required()]

    def defaults() -> dict[str, Any]:
        values = {name: info.get_default(call_default_factory=True) for name, info in rest}
        return {
            name: value.model_dump() if isinstance(value, BaseModel) else value
            for name, value in values.items()
            if name != "id"
        }

    return defaults


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
    limits = [each for each in info.metadata if not isinstance(each, Marker)]
    if not limits:
        return None
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[kind, *limits])
    return adapter.validate_python
