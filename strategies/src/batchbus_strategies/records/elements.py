"""What a file does to the elements of one record: which row is about which element, what it changes, and whether every
element has a combination of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from batchbus_strategies.records.combinations import Combinations
from batchbus_strategies.records.comparing import ABSENT, same, wanted_value
from batchbus_strategies.records.comparing import new_items as new_of_items
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.families import FamilyColumn
from batchbus_strategies.records.fields import Field, set_at, trimmed, value_at
from batchbus_strategies.records.keyed import family_changes, new_items
from batchbus_strategies.records.paths import element_path
from batchbus_strategies.records.plan import Change, change_of, of_what_is_null
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRow
from batchbus_strategies.strategy import Document, Fields, FieldValue

__all__ = ["Columns", "ElementPlan", "ElementPlanner", "NewElement"]

Columns = Mapping[str, Mapping[str, FamilyColumn]]
"""The columns of a file that are of families: by the family's name, and by identity."""

NewElement = Callable[[Document, int], None]

_OF_NAMES: Final = frozenset({"missing_name", "duplicate_name"})
"""Errors with which it is not known what the row of a combination says."""


@dataclass(slots=True)
class ElementPlan:
    """What becomes of the elements of a record."""

    changes: dict[str, Change] = field(default_factory=dict)
    """Of a record that exists, by path."""
    elements: list[Document] = field(default_factory=list)
    """Those that are new."""
    names: list[Document] = field(default_factory=list)
    """The new names of the combination, as the record's list has them."""
    errors: list[CellError] = field(default_factory=list)
    new_lines: set[int] = field(default_factory=set)
    """The lines of rows that are about new elements."""


@dataclass(slots=True)
class _Row:
    """A row, and the element that it is about."""

    line: int
    id: str | None
    values: Document
    said: Mapping[str, str]
    """Of the combination: the values that are not empty, by name."""
    element: Document | None = None
    """The one that there is; None if it is new."""


class ElementPlanner:
    """Plans the elements of the records of one file."""

    def __init__(
        self,
        schema: Schema,
        columns: Columns,
        ids: Iterator[str],
        new_element: NewElement,
    ) -> None:
        """`new_element`: completes an element that is new, given how many the record has before it."""
        assert schema.rows is not None and schema.rows.rows is not None
        self.schema = schema
        self.list: Field = schema.rows
        self.rows = schema.rows.rows
        self.ids = ids
        self.complete = new_element
        self.combinations = Combinations(schema) if schema.combination is not None else None
        self.required = [each for each in self.list.parts if each.required and each.shape == "one"]
        self._columns = columns

    def plan(self, rows: Iterable[StagedRow], existing: Fields | None, wrong: Sequence[CellError]) -> ElementPlan:
        """`existing`: the document, or None for a new record. `wrong`: what is wrong with cells of these rows already."""
        about = [
            _Row(each.line, each.element_id, each.element, self._said(each.element))
            for each in rows
            if each.element is not None
        ]
        planning = _Planning(self, about, existing)
        planning.match()
        planning.find_missing(wrong)
        planning.plan()
        if not any(each.code in _OF_NAMES for each in wrong):
            planning.check_combinations()
        return planning.planned

    def _said(self, values: Fields) -> Mapping[str, str]:
        found = values.get(self.combinations.field.path) if self.combinations is not None else None
        return {name: value for name, value in found.items() if value is not None} if found else {}

    def columns(self, family: Field) -> Mapping[str, FamilyColumn]:
        return self._columns.get(f"{self.list.path}.{family.path}", {})


class _Planning:
    """What becomes of the elements of one record."""

    def __init__(self, of: ElementPlanner, rows: list[_Row], existing: Fields | None) -> None:
        self._of = of
        self._schema = of.schema
        self._list = of.list
        self._rows = rows
        self._record: Fields = existing if existing is not None else {}
        self._is_new = existing is None
        self._ids = of.ids
        self._old = of.schema.elements(self._record)
        self._combinations = of.combinations
        self._names = of.combinations.names(self._record) if of.combinations else {}
        self.planned = ElementPlan()

    # -- which row is about which element --------------------------------------------------------------------------

    def match(self) -> None:
        """By id, else by a unique field, else by the combination."""
        by_id = {str(each["id"]): each for each in self._old if each.get("id") is not None}
        seen: dict[str, int] = {}
        for row in self._rows:
            if row.id is None:
                continue
            row.element = by_id.get(row.id)
            if row.id in seen:
                self._error(row, self._list.column, "duplicate_element", f"line {seen[row.id]} has it already", row.id)
            elif row.element is None:
                noun, of = self._list.part_name, self._schema.name
                message = (
                    f"a {noun} with an id belongs to a {of} that exists"
                    if self._is_new
                    else f"the {of} {self._record['_id']} has no {noun} with this id"
                )
                self._error(row, self._list.column, "unknown_element", message, row.id)
            seen.setdefault(row.id, row.line)
        if not self._of.rows.found_by_id and self._old:
            self._match_values(seen)
        self.planned.new_lines = {row.line for row in self._unmatched()}

    def _match_values(self, seen: Collection[str]) -> None:
        free = [each for each in self._old if each.get("id") is not None and str(each["id"]) not in seen]
        for unique in self._schema.unique_in_elements:
            free = self._matched(free, unique.field)
        if self._combinations is not None:
            combinations = self._combinations
            values = {id(each): combinations.values(self._names, each) for each in free}
            for row in self._unmatched():
                place = next((n for n, each in enumerate(free) if values[id(each)] == row.said), None)
                if combinations.field.path in row.values and place is not None:
                    row.element = free.pop(place)

    def _unmatched(self) -> list[_Row]:
        return [row for row in self._rows if row.id is None and row.element is None]

    def _matched(self, free: list[Document], field: Field) -> list[Document]:
        """Gives rows the elements that have their value of a field. Returns the elements that no row is about still."""
        path = field.path
        by_value = {trimmed(field.as_key(value)): each for each in free if (value := value_at(each, path)) is not None}
        for row in self._unmatched():
            value = row.values.get(path)
            if value is not None:
                row.element = by_value.pop(field.as_key(value), None)
        taken = {id(row.element) for row in self._rows}
        return [each for each in free if id(each) not in taken]

    def find_missing(self, wrong: Sequence[CellError]) -> None:
        """Fields that a new element needs, and that its row has nothing for."""
        for row in self._unmatched() if self._of.required else ():
            for each in self._of.required:
                path = f"{self._list.path}.{each.path}"
                if row.values.get(each.path) is None and not any(
                    (error.line, error.path) == (row.line, path) for error in wrong
                ):
                    message = f"a new {self._list.part_name} needs a value for {each.column}"
                    self._error(row, each.column, "missing_value", message)

    # -- what it changes -------------------------------------------------------------------------------------------

    def plan(self) -> None:
        self._new_names()
        for row in self._rows:
            if row.element is not None:
                self._change(row, row.element)
            elif row.id is None:
                self.planned.elements.append(self._new_element(row))
        self._find_taken()
        self._add()

    def _name_errors(self) -> None:
        """A new record has a value for every name that a row of it has."""
        if self._combinations is None or not self._is_new:
            return
        for row in self._rows:
            for name in row.values.get(self._combinations.field.path, {}):
                if name not in row.said:
                    self._no_value(row, name)

    def _new_names(self) -> None:
        if self._combinations is None:
            return
        if not self._is_new and not self._combinations.grows:
            self._refuse_new_names(self._combinations)
            return
        new = dict.fromkeys(name for row in self._rows for name in row.said if name not in self._names)
        names, self.planned.names = self._combinations.added(new, self._ids)
        self._names = {**self._names, **names}

    def _refuse_new_names(self, combinations: Combinations) -> None:
        for row in self._rows:
            for name in row.said:
                if name not in self._names:
                    message = f"the {self._schema.name} {self._record['_id']} has no {combinations.noun} {name}"
                    self._error(row, None, "unknown_name", message, name)

    def _change(self, row: _Row, element: Fields) -> None:
        changes: dict[str, Change] = {}
        for each in self._list.parts:
            if each.path not in row.values:
                continue
            value = row.values[each.path]
            if each.shape == "family":
                changes |= dict(family_changes(each, element, value, self._of.columns(each), self._ids))
            elif each.shape == "combination":
                assert self._combinations
                changes |= dict(self._combinations.changes(self._names, element, self._known(row), self._ids))
            else:
                old = value_at(element, each.path, ABSENT)
                new = wanted_value(each, value, old)
                if not same(old, new):
                    changes[each.path] = change_of(old, new)
        for path, change in of_what_is_null(element, changes).items():
            self.planned.changes[element_path(self._list.path, str(element["id"]), path)] = change

    def _new_element(self, row: _Row) -> Document:
        constants, others = self._schema.new_element
        element: Document = {"id": self._of.rows.id_prefix + next(self._ids), **constants}
        for path, value in row.values.items():
            if value is not None and path in constants:
                element[path] = value
        for each in others:
            set_at(element, each.path, self._new_value(each, row))
        element |= self._list.unwritten()
        there = self._record.get(self._list.path)
        place = len(there) if isinstance(there, list) else 0
        self._of.complete(element, place + len(self.planned.elements))
        return element

    def _known(self, row: _Row) -> dict[str, str]:
        """What it says for names that the record has."""
        return {name: value for name, value in row.said.items() if name in self._names}

    def _new_value(self, field: Field, row: _Row) -> FieldValue:
        """What a new element has in a field whose value is not just what its row says."""
        said = row.values.get(field.path)
        if field.shape == "family":
            return new_items(field, said or {}, self._of.columns(field), self._ids)
        if field.shape == "combination":
            assert self._combinations
            return self._combinations.stored(self._names, self._known(row), self._ids)
        if field.items is not None:
            return new_of_items(field, said or ())
        if field.shape == "named" and said is not None:
            return {key: item for key, item in said.items() if item is not None}
        return field.default() if said is None else said

    def _add(self) -> None:
        """What there is new, in a record that exists."""
        if self._is_new:
            return
        if self._combinations is not None:
            names = self._combinations.name_changes(self._record, self.planned.names)
            self.planned.changes = {**dict(names), **self.planned.changes}
        now = self._record.get(self._list.path, ABSENT)
        if not isinstance(now, list):
            if self.planned.elements:
                self.planned.changes[self._list.path] = change_of(now, self.planned.elements)
            return
        for element in self.planned.elements:
            self.planned.changes[element_path(self._list.path, element["id"])] = change_of(ABSENT, element)

    # -- what has to be unique -------------------------------------------------------------------------------------

    def _find_taken(self) -> None:
        """Values that a row sets and that an element has of which the file does not say it. (Two rows with one value have
        been found before, over all records.)"""
        if not self._old:
            return
        for unique in self._schema.unique_in_elements:
            path = unique.field.path
            said = {id(row.element) for row in self._rows if path in row.values}
            values = (value_at(each, path) for each in self._old if id(each) not in said)
            taken = {unique.field.as_key(value) for value in values if value is not None}
            for row in self._rows if taken else ():
                value = row.values.get(path)
                old = None if row.element is None else value_at(row.element, path)
                unchanged = same(value, old) or (isinstance(old, str) and trimmed(old) == value)
                if value is not None and unique.field.as_key(value) in taken and not unchanged:
                    message = f"another {self._list.part_name} of the {self._schema.name} has it"
                    self._error(row, unique.field.column, "value_taken", message, str(value))

    def check_combinations(self) -> None:
        """Every element has a value for each name, and no two the same of all; where nothing of that changes, a record
        may be as it is."""
        combinations = self._combinations
        if combinations is None:
            return
        self._name_errors()
        changed = any(row.element is None and row.id is None for row in self._rows) or bool(self.planned.names)
        after: dict[int, tuple[_Row | None, Mapping[str, str]]] = {}
        touched: set[int] = set()
        for element in self._old:
            after[id(element)] = (None, combinations.values(self._names, element))
        for row in self._rows:
            if row.element is not None:
                before = after[id(row.element)][1]
                if row.said.items() - before.items():
                    changed = True
                    touched.add(id(row.element))
                after[id(row.element)] = (row, {**before, **row.said})
            elif row.id is None:
                after[id(row)] = (row, row.said)
                touched |= {id(row)} if row.said else set()
        if (self._is_new or changed) and (combinations.needed or self._names):
            self._compare(after, None if combinations.needed or self._is_new else touched)

    def _compare(
        self, after: Mapping[int, tuple[_Row | None, Mapping[str, str]]], touched: Collection[int] | None
    ) -> None:
        """`touched`: what alone is wrong, if something is; None for everything."""
        seen: dict[frozenset[tuple[str, str]], _Row | None] = {}
        elements = {id(each): each for each in self._old}
        noun = self._list.part_name
        for key, (row, values) in after.items():
            where = row or (self._rows[0] if self._rows else None)
            if where is None:
                return
            other = "" if row else f" of {noun} {elements[key].get('id')}, which the file does not name"
            looked_at = touched is None or key in touched
            for name in self._names:
                if name not in values and looked_at:
                    self._no_value(where, name, other)
            if (found := frozenset(values.items())) in seen and looked_at:
                first = seen[found]
                place = f"line {first.line}" if first and row else f"another {noun} of the {self._schema.name}"
                shown = ", ".join(f"{name} {value}" for name, value in values.items()) or "no values at all"
                message = f"{place} has the same: {shown}"
                self._error(row or first or where, self._combination_column(), "duplicate_combination", message)
            seen.setdefault(found, row)

    def _combination_column(self) -> str | None:
        combination = self._schema.combination
        return combination.also[0].replace("<n>", "1") if combination is not None and self._names else None

    def _no_value(self, row: _Row, name: str, of: str = "") -> None:
        message = f"there is no value for {name}{of}; every {self._list.part_name} needs one"
        error = CellError(row.line, None, "missing_value", message)
        if error not in self.planned.errors:
            self.planned.errors.append(error)

    def _error(self, row: _Row, column: str | None, code: str, message: str, value: str | None = None) -> None:
        self.planned.errors.append(CellError(row.line, column, code, message, value))
