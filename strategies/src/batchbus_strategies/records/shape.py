"""Which columns an export takes to hold all of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchbus_strategies.records.combinations import Combinations
from batchbus_strategies.records.copying import Copies
from batchbus_strategies.records.fields import Field, is_living, value_at
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["COMBINATION", "Fitting", "Shape", "fields_for_shape", "values_of"]

COMBINATION: Final = "combination"
"""Where a shape has the number of a combination's columns."""

Values = Callable[[Fields], Sequence[FieldValue]]
"""What an owner has in a list, each for a column or a group of columns of its own."""


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

    def as_json(self) -> Document:
        return {
            "numbers": dict(self.numbers),
            "names": {name: sorted(found) for name, found in self.names.items()},
            "there": sorted(self.there),
        }

    @classmethod
    def from_json(cls, shape: Fields) -> Shape:
        names = {name: set(found) for name, found in shape["names"].items()}
        return cls(dict(shape["numbers"]), names, set(shape.get("there", ())))


def values_of(each: Field, copies: Mapping[str, Copies]) -> Values:
    """Reads the values of a field that has several columns with numbers; of copies, also of one that has a single one."""
    path = each.path
    if each.copied is not None:
        return copies[path].of
    if each.items is not None:
        name = each.items.field

        def of_items(owner: Fields) -> Sequence[FieldValue]:
            found = value_at(owner, path)
            if not isinstance(found, list):
                return ()
            return [item[name] for item in found if is_living(item) and item.get(name)]

        return of_items

    def of_list(owner: Fields) -> Sequence[FieldValue]:
        found = value_at(owner, path)
        return found if isinstance(found, list) else ()

    return of_list


class Fitting:
    """Widens a shape for one record after the other. It does no I/O."""

    def __init__(self, schema: Schema, copies: Mapping[str, Copies], shape: Shape) -> None:
        """`copies`: what `load_copies` has given."""
        self.shape = shape
        self._schema = schema
        self._numbers, self._names = _several(schema.fields, "", copies, shape)
        rows = schema.rows
        self._of_elements = None if rows is None else _several(rows.parts, f"{rows.path}.", copies, shape)
        self._combinations = Combinations(schema) if schema.combination is not None else None
        self._only_with = [each.shown.only_with for each in schema.fields if each.shown and each.shown.only_with]

    def fit(self, document: Fields) -> int:
        """Widen the shape so that the record fits. Returns how many rows it has."""
        shape = self.shape
        for path in self._only_with:
            if path not in shape.there and value_at(document, path) is not None:
                shape.there.add(path)
        self._widen(self._numbers, self._names, document)
        if self._of_elements is None:
            return 1
        elements = self._schema.elements(document)
        for element in elements:
            self._widen(*self._of_elements, element)
        if self._combinations is not None and elements:
            count = len(self._combinations.names(document))
            if count > shape.numbers.get(COMBINATION, -1):
                shape.numbers[COMBINATION] = count
        return len(elements) or 1

    def _widen(self, numbers: Sequence[_Number], names: Sequence[_Name], owner: Fields) -> None:
        for name, values in numbers:
            count = len(values(owner))
            if count > self.shape.numbers.get(name, -1):
                self.shape.numbers[name] = count
        for found, named in names:
            found.update(named(owner))


_Number = tuple[str, Values]
_Name = tuple[set[str], Callable[[Fields], Iterable[str]]]


def _several(
    fields: Sequence[Field], prefix: str, copies: Mapping[str, Copies], shape: Shape
) -> tuple[list[_Number], list[_Name]]:
    """The fields that have several columns: those with numbers, and those whose columns have names of data."""
    numbers: list[_Number] = []
    names: list[_Name] = []
    for each in fields:
        name = prefix + each.path
        if each.shape == "numbered" or each.several:
            numbers.append((name, values_of(each, copies)))
        elif each.shape == "named":
            names.append((shape.names.setdefault(name, set()), _keys(each.path)))
        elif each.family is not None:
            names.append((shape.names.setdefault(name, set()), _identities(each)))
    return numbers, names


def _keys(path: str) -> Callable[[Fields], Iterable[str]]:
    def keys(owner: Fields) -> Iterable[str]:
        return value_at(owner, path) or ()

    return keys


def _identities(each: Field) -> Callable[[Fields], Iterable[str]]:
    assert each.family is not None
    path, identity = each.path, each.family.columns.identity

    def identities(owner: Fields) -> Iterable[str]:
        found = value_at(owner, path)
        if not isinstance(found, list):
            return ()
        return [who for item in found if is_living(item) and (who := identity(item)) is not None]

    return identities


def fields_for_shape(schema: Schema) -> dict[str, int]:
    """What is to be read of records to find out their shape, as MongoDB takes it."""
    paths = ["_id", *_paths(schema.fields, "")]
    paths += [each.shown.only_with for each in schema.fields if each.shown and each.shown.only_with]
    if schema.rows is not None:
        prefix = f"{schema.rows.path}."
        paths += [f"{prefix}deleted_at", *_paths(schema.rows.parts, prefix)]
    combination = schema.combination
    if combination is not None and combination.combination is not None and schema.rows is not None:
        names = combination.combination.names
        if names is None:
            paths.append(f"{schema.rows.path}.{combination.path}")
        else:
            paths += [f"{names.field}.{name}" for name in ("id", names.name, "deleted_at")]
    return {path: 1 for path in paths if not any(path.startswith(f"{other}.") for other in paths)}


def _paths(fields: Sequence[Field], prefix: str) -> Iterator[str]:
    for each in fields:
        path = prefix + each.path
        if each.several:
            yield f"{path}.id"
        elif each.items is not None and each.shape == "numbered":
            yield from (f"{path}.{each.items.field}", f"{path}.deleted_at")
        elif each.shape in ("numbered", "named"):
            yield path
        elif each.family is not None:
            reads = each.family.columns.reads
            yield from (f"{path}.{name}" for name in (*reads, "deleted_at")) if reads else (path,)
