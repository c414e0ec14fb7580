"""What an import will do to one record: from its rows, and what the catalogue has of it, to an operation of the plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from pydantic import ValidationError

from batchbus_strategies.records.combinations import Combinations
from batchbus_strategies.records.comparing import ABSENT, same, wanted_value
from batchbus_strategies.records.comparing import new_items as new_of_items
from batchbus_strategies.records.copying import Copies
from batchbus_strategies.records.elements import Columns, ElementPlan, ElementPlanner
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.fields import Field, set_at, value_at
from batchbus_strategies.records.header import DELETE_COLUMN
from batchbus_strategies.records.hooks import Hooks
from batchbus_strategies.records.keyed import family_changes, new_items
from batchbus_strategies.records.limit_messages import message_of
from batchbus_strategies.records.merging import Changed, changed_document
from batchbus_strategies.records.plan import (
    Change,
    Create,
    Delete,
    Operation,
    PlannedError,
    Refused,
    Unchanged,
    Update,
    change_of,
    of_what_is_null,
    planned_error,
)
from batchbus_strategies.records.references import Resolved
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.staged import StagedRecord
from batchbus_strategies.records.staging_rows import differs
from batchbus_strategies.records.unique_values import repeated_values
from batchbus_strategies.strategy import Document, Fields

__all__ = ["OnError", "Planner"]

OnError = Literal["abort", "skip", "keep"]
"""What becomes of an import with rows that cannot be used: nothing is applied, or their records are left out; or, of
records that exist, only the cells that cannot be used are left out."""

_NO_ELEMENTS: Final = ElementPlan()
"""Of records of one row."""


@dataclass(slots=True)
class Planner:
    """Plans the records of one file. It does no I/O."""

    schema: Schema
    job_id: str
    ids: Iterator[str]
    """New ULIDs."""
    on_error: OnError
    hooks: Hooks
    by_rows: bool = False
    """Whether of a record that spans several rows only those are left out that cannot be used."""
    columns: Columns = dataclasses.field(default_factory=dict)
    """Those of the file that are of families."""
    element_columns: frozenset[str] = frozenset()
    """Those of the file that are about elements, by name."""
    copies: Mapping[str, Copies] = dataclasses.field(default_factory=dict)
    _left_out: list[CellError] = dataclasses.field(default_factory=list)
    """What is wrong with the rows that are left out of the record that is planned."""
    _elements: ElementPlanner | None = None

    def __post_init__(self) -> None:
        if self.schema.rows is not None:
            self._elements = ElementPlanner(self.schema, self.columns, self.ids, self.hooks.new_element)

    def plan(self, staged: StagedRecord, references: Mapping[str, Resolved]) -> Operation:
        """`references`: what the reference fields of the record name, by path."""
        errors = [*staged.errors, *self._taken(staged), *self._differing(staged)]
        values = dict(staged.values)
        self._left_out = []
        if self.by_rows:
            errors = self._of_record(staged, errors)
        for field in self.schema.references:
            if (found := references.get(field.path)) is not None:
                if found.error is not None:
                    named = field.write(values[field.path])
                    errors.append(CellError(staged.line, field.column, "unknown_reference", found.error, named))
                elif found.skipped:
                    del values[field.path]
                else:
                    values[field.path] = found.id
        if staged.existing is None:
            return self._of_nothing(staged, values, errors)
        if staged.deletes:
            return self._refused(staged, errors) if errors else self._delete(staged, staged.existing)
        return self._update(staged, staged.existing, values, errors)

    def _of_record(self, staged: StagedRecord, errors: Iterable[CellError]) -> list[CellError]:
        """The errors that concern all of the record; the others concern rows, which are left out."""
        found: list[CellError] = []
        for error in errors:
            of_row = error.line != staged.line or error.column in self.element_columns
            (self._left_out if of_row else found).append(error)
        return found

    def _taken(self, staged: StagedRecord) -> Iterator[CellError]:
        """Values of unique fields that other documents of the catalogue have."""
        if not staged.taken:
            return
        columns = {unique.name: unique.field.column for unique in self.schema.unique}
        of_key = [taken for taken in staged.taken if taken.name == "key"]
        for taken in of_key or staged.taken:  # a record that is there already has its other values too
            column = columns.get(taken.name, self.schema.identity)
            value = " ".join(staged.key or ()) if taken.name == "key" else taken.value
            message = f"the {self.schema.name} {taken.owner} in the catalogue has it"
            yield CellError(taken.line, column, "value_taken", message, value)

    def _differing(self, staged: StagedRecord) -> Iterator[CellError]:
        """Cells of later rows that say something else of the record than its first row."""
        wrong = {error.path for error in staged.errors if error.line == staged.line}
        for row in staged.rows[1:]:
            for path, value in row.values.items():
                each = self.schema.by_path[path]
                if each.shown is None and differs(value, staged.values.get(path)) and path not in wrong:
                    shown = each.write(value) if each.shape == "one" else None
                    yield self._different(staged, row.line, each.column if each.shape == "one" else None, shown)
            if row.id is not None and row.id != staged.id:
                yield self._different(staged, row.line, self.schema.record.id_column, row.id)
            if row.delete and not staged.deletes:
                yield self._different(staged, row.line, DELETE_COLUMN, None)

    def _different(self, staged: StagedRecord, line: int, column: str | None, value: str | None) -> CellError:
        message = f"line {staged.line} says something else of the same {self.schema.name}"
        return CellError(line, column, "different_value", message, value)

    def _planned_elements(
        self, staged: StagedRecord, existing: Fields | None, errors: Sequence[CellError]
    ) -> ElementPlan:
        if self._elements is None:
            return _NO_ELEMENTS
        if not self.by_rows:
            return self._elements.plan(staged.rows, existing, errors)
        if errors:  # of the record, so that none of its rows is used
            return _NO_ELEMENTS
        while True:
            bad = {error.line for error in self._left_out}
            planned = self._elements.plan([row for row in staged.rows if row.line not in bad], existing, ())
            if not planned.errors:
                return planned
            self._left_out += planned.errors
            planned.errors = []

    def _omitted_as_a_whole(self, staged: StagedRecord) -> bool:
        return bool(self._left_out) and {row.line for row in staged.rows} <= {each.line for each in self._left_out}

    def _of_nothing(self, staged: StagedRecord, values: Document, errors: list[CellError]) -> Operation:
        """The catalogue has no such record."""
        if staged.id is None and staged.key is None:
            return self._refused(staged, errors)
        named = staged.id is not None or staged.deletes
        if named and not errors:
            column = self.schema.record.id_column if staged.id is not None else self.schema.identity
            message = (
                f"there is no {self.schema.name} with this {'id' if staged.id is not None else 'key'} in the catalogue"
            )
            errors = [
                CellError(staged.line, column, "unknown_record", message, staged.id or " ".join(staged.key or ()))
            ]
        if not named:
            errors += [
                CellError(
                    staged.line,
                    field.column,
                    "missing_value",
                    f"a new {self.schema.name} needs a value for {field.column}",
                )
                for field in self.schema.required
                if values.get(field.path) is None and not _is_wrong(field, errors)
            ]
        elements = self._planned_elements(staged, None, errors)
        errors += elements.errors
        if errors or self._omitted_as_a_whole(staged):
            return self._refused(staged, errors)
        document = self._document(values, elements)
        errors = self._checked(staged, document, None)
        if errors:
            return self._refused(staged, errors)
        create = Create(
            op="create",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            id=self.schema.record.id_prefix + next(self.ids),
            revision=self._revision(staged),
            document=document,
        )
        if self._left_out:
            create["left_out"] = self._planned_errors(self._left_out)
        return create

    def _document(self, values: Document, elements: ElementPlan) -> Document:
        self.hooks.complete(values, None)
        simple, others = self.schema.new_record
        document = {**self.schema.unwritten(), **simple}
        for path, value in values.items():
            if value is not None and path in simple:
                document[path] = value
        for field in others:
            value = values.get(field.path) if field.shown is None else None
            if field.shape == "named" and value is not None:
                value = {key: item for key, item in value.items() if item is not None}
            elif field.shape == "family":
                value = new_items(field, value or {}, self.columns.get(field.path, {}), self.ids)
            elif field.shape == "rows":
                value = elements.elements
            elif field.items is not None:
                value = new_of_items(field, value or ())
            elif field.copied is not None:
                document |= self.copies[field.path].new_values(value)
                continue
            if value is None:
                value = field.default()
            if value is not None or not field.unique:
                set_at(document, field.path, value)
        if self.schema.combination is not None:
            Combinations(self.schema).put_names(document, elements.names)
        for index, (found, _) in repeated_values(self.schema, document).items():
            if found:
                document[index] = found
        return document

    def _update(self, staged: StagedRecord, existing: Fields, values: Document, errors: list[CellError]) -> Operation:
        errors += self._read_only(staged, existing)
        elements = self._planned_elements(staged, existing, errors)
        errors += elements.errors
        left_out: list[CellError] = []
        if self._omitted_as_a_whole(staged):
            return self._refused(staged, errors)
        if self.on_error == "keep":
            left_out = [each for each in errors if self._can_be_omitted(each) and each.line not in elements.new_lines]
        if len(left_out) < len(errors):
            return self._refused(staged, errors)
        left_out += self._left_out
        changes = {**self._changes(staged, existing, values), **elements.changes}
        if changes and (errors := self._checked_changes(staged, existing, changes)):
            return self._refused(staged, errors)
        if not changes and not left_out:
            return Unchanged(
                op="unchanged", line=staged.line, lines=staged.lines, key=_key(staged), id=str(existing["_id"])
            )
        update = Update(
            op="update",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            id=existing["_id"],
            revision=self._revision(staged),
            changes=changes,
        )
        if "revision" in existing:
            update["seen"] = existing["revision"]
        if left_out:
            update["left_out"] = self._planned_errors(left_out)
        return update

    def _changes(self, staged: StagedRecord, existing: Fields, values: Document) -> dict[str, Change]:
        """Of the record itself, by path."""
        self.hooks.complete(values, existing)
        changes: dict[str, Change] = {}
        for field in self.schema.fields:
            if field.path not in values or field.shown or (field.key and staged.id is None):
                continue
            if field.shape == "family":
                columns = self.columns.get(field.path, {})
                changes |= dict(family_changes(field, existing, values[field.path], columns, self.ids))
                continue
            if field.copied is not None:
                for path, new in self.copies[field.path].changed_values(values[field.path], existing).items():
                    changes[path] = change_of(value_at(existing, path, ABSENT), new)
                continue
            old = value_at(existing, field.path, ABSENT)
            new = wanted_value(field, values[field.path], old)
            if not same(old, new):
                changes[field.path] = change_of(old, new)
        return of_what_is_null(existing, changes)

    def _read_only(self, staged: StagedRecord, existing: Fields) -> Iterator[CellError]:
        """Cells of columns that are only compared, and that say something else than the record, in any of its rows."""
        for field in self.schema.compared:
            shown = field.cell(staged.shown or existing)
            said = [(staged.line, staged.values.get(field.path))]
            said += [(row.line, row.values.get(field.path)) for row in staged.rows[1:]]
            for line, cell in said:
                if cell is not None and not _same_cell(cell, "" if shown is None else str(shown)):
                    message = f"an import cannot change it, and it is {shown}" if shown else "an import cannot set it"
                    yield CellError(line, field.column, "read_only", message, cell)

    def _checked_changes(
        self, staged: StagedRecord, existing: Fields, changes: Mapping[str, Change]
    ) -> list[CellError]:
        try:
            document = changed_document(existing, changes, self.schema)
        except Changed as error:  # what there is breaks a rule by itself
            return [CellError(staged.line, None, "refused", str(error))]
        return self._checked(staged, document, existing)

    def _can_be_omitted(self, error: CellError) -> bool:
        """Whether it concerns a cell alone, of a field that nothing is found by."""
        return error.code.startswith("bad_") and error.path is not None and error.path not in self.schema.found_by

    def _checked(self, staged: StagedRecord, document: Fields, existing: Fields | None) -> list[CellError]:
        """What the model and the author's own check say of a record as it will be."""
        messages = list(self.hooks.check(document, existing))
        if existing is None and self.schema.validated_as_a_whole:
            try:
                self.schema.record.model_validate(document)
            except ValidationError as error:
                messages += [message_of(each) for each in error.errors()]
        return [CellError(staged.line, None, "refused", message) for message in messages]

    def _delete(self, staged: StagedRecord, existing: Document) -> Delete:
        delete = Delete(
            op="delete",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            id=existing["_id"],
            revision=self._revision(staged),
            document=existing,
        )
        if "revision" in existing:
            delete["seen"] = existing["revision"]
        return delete

    def _refused(self, staged: StagedRecord, errors: Iterable[CellError]) -> Refused:
        errors = [*errors, *self._left_out]
        if self.by_rows and self.on_error != "abort":  # else everything is left out, and the reason has been told
            mentioned = {error.line for error in errors}
            message = f"left out with its {self.schema.name}, which cannot be imported (line {staged.line})"
            errors += [
                CellError(row.line, None, "record_left_out", message)
                for row in staged.rows
                if row.line not in mentioned
            ]
        return Refused(
            op="error",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            errors=self._planned_errors(errors),
        )

    def _planned_errors(self, errors: Iterable[CellError]) -> list[PlannedError]:
        """In the order of their lines, in the words of the batch type."""
        return [planned_error(self.hooks.reword(error)) for error in sorted(errors, key=_line)]

    def _revision(self, staged: StagedRecord) -> str:
        """One that no document has had before."""
        return f"{self.job_id}:{staged.number}"


def _same_cell(one: str, other: str) -> bool:
    """Whether two cells say the same: spreadsheets write numbers in forms of their own."""
    if one == other.strip():
        return True
    try:
        return Decimal(one) == Decimal(other)
    except InvalidOperation:
        return False


def _key(staged: StagedRecord) -> list[str]:
    return list(staged.key or ((staged.id,) if staged.id else ()))


def _line(error: CellError) -> int:
    return error.line


def _is_wrong(field: Field, errors: Iterable[CellError]) -> bool:
    return any(error.path == field.path for error in errors)
