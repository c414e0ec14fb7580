"""What an import will do to one record: from its rows, and what the catalogue has of it, to an operation of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from pydantic import ValidationError

from batchbus_strategies.records.comparing import ABSENT, same, wanted_value
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.plan import Change, Create, Delete, Operation, PlannedError, Refused, Unchanged, Update
from batchbus_strategies.records.references import Resolved
from batchbus_strategies.records.schema import OWN, Field, Schema, set_at, value_at
from batchbus_strategies.records.staging import StagedRecord

__all__ = ["OnError", "Planner"]

OnError = Literal["abort", "skip", "keep"]
"""What becomes of an import with rows that cannot be used: nothing is applied, or their records are left out; or, of
records that exist, only the cells that cannot be used are left out."""

Check = Callable[[Mapping[str, Any], Mapping[str, Any] | None], Iterable[str]]


@dataclass(slots=True)
class Planner:
    """Plans the records of one file. It does no I/O."""

    schema: Schema
    job_id: str
    ids: Iterator[str]
    """New ULIDs."""
    on_error: OnError
    check: Check

    def plan(self, staged: StagedRecord, references: Mapping[str, Resolved]) -> Operation:
        """`references`: what the reference fields of the record name, by path."""
        errors = [*staged.errors, *self._taken(staged)]
        values = dict(staged.values)
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

    def _taken(self, staged: StagedRecord) -> Iterator[CellError]:
        """Values of unique fields that other documents of the catalogue have."""
        for path, owner in staged.taken.items():
            field = self.schema.keys[0] if path == "key" else self.schema.by_path[path]
            message = f"{self.schema.name} {owner} in the catalogue has it"
            yield CellError(staged.line, field.column, "value_taken", message, str(staged.values.get(field.path)))

    def _of_nothing(self, staged: StagedRecord, values: dict[str, Any], errors: list[CellError]) -> Operation:
        """The catalogue has no such record."""
        if staged.id is None and staged.key is None:
            return self._refused(staged, errors)
        named = staged.id is not None or staged.deletes
        if named and not errors:
            column = self.schema.record.id_column if staged.id is not None else self.schema.identity
            message = (
                f"there is no {self.schema.name} of this {'id' if staged.id is not None else 'key'} in the catalogue"
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
                for field in self.schema.fields
                if field.required and values.get(field.path) is None and not _is_wrong(field, errors)
            ]
        if errors:
            return self._refused(staged, errors)
        document = self._document(values)
        errors = self._checked(staged, document, None)
        if errors:
            return self._refused(staged, errors)
        return Create(
            op="create",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            id=self.schema.record.id_prefix + next(self.ids),
            revision=self._revision(staged),
            document=document,
        )

    def _document(self, values: Mapping[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for field in self.schema.fields:
            if field.path in OWN:
                continue
            value = values.get(field.path) if field.shown is None else None
            if field.shape == "named" and value is not None:
                value = {key: item for key, item in value.items() if item is not None}
            if value is None:
                value = deepcopy(field.default())
            if value is not None or not field.unique:
                set_at(document, field.path, value)
        return document

    def _update(
        self, staged: StagedRecord, existing: Mapping[str, Any], values: dict[str, Any], errors: list[CellError]
    ) -> Operation:
        errors = [*errors, *self._differing(staged, existing, values)]
        left_out = [error for error in errors if self._can_be_omitted(error)] if self.on_error == "keep" else []
        if len(left_out) < len(errors):
            return self._refused(staged, errors)
        changes: dict[str, Change] = {}
        for field in self.schema.fields:
            if field.path not in values or field.shown or (field.key and staged.id is None):
                continue
            old = value_at(existing, field.path, ABSENT)
            new = wanted_value(field, values[field.path], old)
            if not same(old, new):
                changes[field.path] = _change(old, new)
        changes = _of_what_is_null(existing, changes)
        if changes:
            document = deepcopy(dict(existing))
            for path, change in changes.items():
                set_at(document, path, change.get("new"))
            if errors := self._checked(staged, document, existing):
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
            update["left_out"] = [_planned(error) for error in left_out]
        return update

    def _differing(
        self, staged: StagedRecord, existing: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Iterator[CellError]:
        """Cells of columns that are only compared, and that say something else than the record."""
        for field in self.schema.fields:
            if field.shown is None or (said := values.get(field.path)) is None:
                continue
            shown = field.cell(existing)
            if not _same_cell(said, "" if shown is None else str(shown)):
                message = f"an import cannot change it, and it is {shown}" if shown else "an import cannot set it"
                yield CellError(staged.line, field.column, "read_only", message, said)

    def _can_be_omitted(self, error: CellError) -> bool:
        """Whether it concerns a cell alone, of a field that nothing is found by."""
        return error.code.startswith("bad_") and not any(
            field.key or field.unique or field.reference
            for field in self.schema.fields
            if error.column is None or field.column == error.column
        )

    def _checked(
        self, staged: StagedRecord, document: Mapping[str, Any], existing: Mapping[str, Any] | None
    ) -> list[CellError]:
        """What the model and the author's own check say of a record as it will be."""
        messages = list(self.check(document, existing))
        if existing is None and self.schema.validated_as_a_whole:
            try:
                self.schema.record.model_validate(document)
            except ValidationError as error:
                messages += [each["msg"] for each in error.errors()]
        return [CellError(staged.line, None, "refused", message) for message in messages]

    def _delete(self, staged: StagedRecord, existing: dict[str, Any]) -> Delete:
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
        return Refused(
            op="error",
            line=staged.line,
            lines=staged.lines,
            key=_key(staged),
            errors=[_planned(error) for error in errors],
        )

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


def _change(old: Any, new: Any) -> Change:
    change = Change()
    if old is not ABSENT:
        change["old"] = old
    if new is not ABSENT:
        change["new"] = new
    return change


def _of_what_is_null(existing: Mapping[str, Any], changes: Mapping[str, Change]) -> dict[str, Change]:
    """Changes inside something that is null are one change of it, since MongoDB sets no field of null."""
    result: dict[str, Change] = {}
    for path, change in changes.items():
        names = path.split(".")
        outer = (".".join(names[:length]) for length in range(1, len(names)))
        null = next((each for each in outer if value_at(existing, each, ABSENT) is None), None)
        if null is None:
            result[path] = change
        elif "new" in change:
            set_at(
                result.setdefault(null, Change(old=None, new={}))["new"], path.removeprefix(f"{null}."), change["new"]
            )
    return result


def _planned(error: CellError) -> PlannedError:
    return PlannedError(line=error.line, column=error.column, code=error.code, message=error.message, value=error.value)


def _is_wrong(field: Field, errors: Iterable[CellError]) -> bool:
    return any(error.column == field.column for error in errors)
