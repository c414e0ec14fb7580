"""From the model that an author declares a record by to its fields; what cannot be carried out is a `DeclarationError`."""

from __future__ import annotations

import types
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from batchbus_strategies.records.cells import CellType, cell_type, choice_type, money_type
from batchbus_strategies.records.columns import (
    Column,
    Combination,
    Copied,
    Empty,
    Family,
    Items,
    Key,
    Marker,
    Named,
    Numbered,
    Reference,
    Rows,
    Shown,
)
from batchbus_strategies.records.fields import Field, spoken_name
from batchbus_strategies.strategy import Document

__all__ = ["DeclarationError", "fields_of", "id_field", "unwritten_defaults"]

_OF_ELEMENTS: Final = frozenset({"id", "created_at", "updated_at", "deleted_at"})
"""Fields that every element of `Rows` has, and that no part may have a column for."""
_IMMUTABLE: Final = (str, int, float, bool, types.NoneType)
_TEXT: Final = CellType("text", "text", str, str, "text")


class DeclarationError(TypeError):
    """A record is declared in a way that cannot be carried out. The message names the class and the field."""


def fields_of(model: type[BaseModel], owner: str, prefix: str = "") -> Iterator[Field]:
    """`owner`: what the messages of errors begin with. Raises `DeclarationError`."""
    for own_name, info in model.model_fields.items():
        name = info.alias or own_name
        where = f"{owner}.{prefix}{name}"
        markers = [each for each in info.metadata if isinstance(each, Marker)]
        if len(markers) > 1:
            raise DeclarationError(f"{where} has {len(markers)} columns; it can have one")
        kind, nullable = _without_none(info.annotation)
        if markers:
            yield _field(f"{prefix}{name}", info, markers[0], kind, nullable, where)
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and not prefix.count(".") > 4:
            yield from fields_of(kind, owner, f"{prefix}{name}.")


def _field(path: str, info: FieldInfo, marker: Marker, kind: object, nullable: bool, where: str) -> Field:
    required = info.is_required()
    default = _default_of(info)

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
        default=default,
        description=info.description or "",
        example=example or "",
    )
    match marker:
        case Reference():
            found = _type_of(kind if get_origin(kind) is list else str, where, None)
            return replace(field, column=marker.column, also=tuple(marker.also), type=found, reference=marker)
        case Column():
            return _column(field, marker, info, kind, where)
        case Copied():
            return _copied(field, marker, kind, where)
        case Items():
            return _items(field, marker, kind, where)
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


def _column(field: Field, marker: Column, info: FieldInfo, kind: object, where: str) -> Field:
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


def _numbered(field: Field, marker: Numbered, kind: object, where: str) -> Field:
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


def _copied(field: Field, marker: Copied, kind: object, where: str) -> Field:
    several = get_origin(kind) is list
    part = _part_of(kind) if several else kind
    if not isinstance(part, type) or not issubclass(part, BaseModel):
        raise DeclarationError(f"{where} is Copied, so it has to be a Part, or a list of one")
    if not marker.by:
        raise DeclarationError(f"{where} is Copied, and nothing says by which columns")
    for column in marker.by.values():
        if several:
            _has_placeholder(column, "<n>", where)
    copies = {
        name: None if info.is_required() else info.get_default(call_default_factory=True)
        for name, info in part.model_fields.items()
        if name != "id"
    }
    first, *others = marker.by.values()
    return replace(
        field,
        shape="copied",
        column=first,
        also=tuple(others),
        copied=marker,
        copies=copies,
        part_name=spoken_name(part),
        empty="clears",
        required=False,
        several=several,
    )


def _items(field: Field, marker: Items, kind: object, where: str) -> Field:
    part = _part_of(kind)
    if part is None or marker.field not in part.model_fields:
        raise DeclarationError(f"{where} has Items, so it has to be a list of a Part that has the field {marker.field}")
    numbered = "<n>" in marker.column
    if numbered:
        _has_placeholder(marker.column, "<n>", where)
    found = _type_of(str if numbered else list, where, None)
    return replace(
        field,
        shape="numbered" if numbered else "one",
        column=marker.column,
        type=found,
        empty="clears",
        required=False,
        items=marker,
        unwritten=unwritten_defaults(part, ()),
        example=field.example or found.example,
    )


def _rows(field: Field, marker: Rows, kind: object, where: str) -> Field:
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
        if each.shape == "rows" or each.key or each.copied:
            raise DeclarationError(f"{place}: a part with Rows can have no Rows or Key in it, and nothing Copied")
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
        unwritten=unwritten_defaults(part, parts),
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


def _family(field: Field, marker: Family, kind: object, where: str) -> Field:
    part = _part_of(kind)
    if part is None:
        raise DeclarationError(f"{where} is a Family, so it has to be a list of a Part")
    columns, unwritten = marker.columns, unwritten_defaults(part, ())
    return replace(
        field,
        shape="family",
        column=columns.pattern,
        family=marker,
        unwritten=unwritten,
        example=columns.example[1],
    )


def _part_of(kind: object) -> type[BaseModel] | None:
    value = get_args(kind)[0] if get_origin(kind) in (list, Sequence) else None
    return value if isinstance(value, type) and issubclass(value, BaseModel) else None


def unwritten_defaults(
    part: type[BaseModel], written: Iterable[Field], without: Collection[str] = ()
) -> Callable[[], Document]:
    """The defaults of the fields that no column is for, as documents have them."""
    names = {*without, *(each.path.partition(".")[0] for each in written)}
    fields = [(info.alias or name, info) for name, info in part.model_fields.items()]
    rest = [(name, info) for name, info in fields if name not in names and not info.is_required()]

    made = {name: _default_of(info) for name, info in rest if name != "id"}
    constant = {name: default() for name, default in made.items() if isinstance(default(), _IMMUTABLE)}
    others = {name: default for name, default in made.items() if name not in constant}
    if not others:
        return constant.copy
    return lambda: {**constant, **{name: default() for name, default in others.items()}}


def _default_of(info: FieldInfo) -> Callable[[], Any]:
    """Makes what a field has that nothing is said of, anew each time; None for one that is required."""
    if info.is_required():
        return lambda: None
    if info.default_factory is None:
        constant = info.default.model_dump() if isinstance(info.default, BaseModel) else info.default
        if isinstance(constant, _IMMUTABLE):
            return lambda: constant
        if isinstance(constant, dict) and all(isinstance(each, _IMMUTABLE) for each in constant.values()):
            return constant.copy

    def default() -> Any:
        value = info.get_default(call_default_factory=True)
        return value.model_dump() if isinstance(value, BaseModel) else value

    return default


def _has_placeholder(pattern: str, placeholder: str, where: str) -> None:
    if pattern.count(placeholder) != 1:
        raise DeclarationError(f"{where}: the name of its columns has to have {placeholder} in it, once")


def _type_of(kind: object, where: str, currency: str | None) -> CellType:
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


def _without_none(annotation: object) -> tuple[Any, bool]:
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
