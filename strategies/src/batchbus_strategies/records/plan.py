"""What is between planning and applying: one operation a line, as JSON, in a file of the job.

An operation holds everything that depends on the file or on planned time, above all the ids of new documents and the
revision that a document will have; so applying it twice changes nothing. Only times are left out: they are those of
applying. It also holds what was there before, so that the opposite of the plan can be worked out from it.

What has changed in a list whose elements have identities is told of each element by itself, and never by its place:
`variants[variant_1].title`, `variants[variant_1].prices[reg_dk dkk].amount` (see `paths`). An element that is new has no
old value, and one that goes no new one: `variants[variant_9]: {"new": {…}}`. Where the list itself was absent or null, it
is one change of the list. Fields that repeat unique values of elements (`Column.index`) follow from the elements, and are
not told. The opposite of an update is the one with old and new exchanged, seen at the revision that the outcome names.

Values that JSON has no form for are written as MongoDB's Extended JSON (`{"$date": …}`, `{"$oid": …}`).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Final, Literal, NotRequired, TypedDict, cast

from bson import json_util
from pydantic_core import from_json, to_json

from batchbus_strategies.records.comparing import ABSENT
from batchbus_strategies.records.errors import CellError
from batchbus_strategies.records.fields import set_at, value_at
from batchbus_strategies.strategy import Document, Fields, FieldValue, Files, StrategyError

__all__ = [
    "Change",
    "Counts",
    "Create",
    "CreateReferenced",
    "Delete",
    "Operation",
    "PlanChunk",
    "PlanDigest",
    "PlanForm",
    "PlannedError",
    "Refused",
    "Unchanged",
    "Update",
    "change_of",
    "decode",
    "encode",
    "of_what_is_null",
    "plan_key",
    "planned_error",
    "read_chunks",
]


class Change(TypedDict, total=False):
    """One field. A value that is not there, before or afterwards, has no key here: that is not the same as null."""

    old: FieldValue
    new: FieldValue


def change_of(old: object, new: object) -> Change:
    """`ABSENT` for a value that is not there."""
    change = Change()
    if old is not ABSENT:
        change["old"] = old
    if new is not ABSENT:
        change["new"] = new
    return change


def of_what_is_null(existing: Fields, changes: Mapping[str, Change]) -> dict[str, Change]:
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


class PlannedError(TypedDict):
    """What is wrong with a cell, or with a row where `column` is null."""

    line: int
    column: str | None
    code: str
    message: str
    value: str | None


def planned_error(error: CellError) -> PlannedError:
    """The error as plans have it."""
    return PlannedError(line=error.line, column=error.column, code=error.code, message=error.message, value=error.value)


class _OfRecord(TypedDict):
    line: int
    """Of its first row."""
    lines: list[int]
    """Of all its rows."""
    key: list[str]
    """As files write it; empty for a row that names no record."""


class Create(_OfRecord):
    """A new document."""

    op: Literal["create"]
    id: str
    revision: str
    document: Document
    """Without `_id`, revision and times."""
    left_out: NotRequired[list[PlannedError]]
    """As in `Update`."""


class Update(_OfRecord):
    """Changes to a document, each with what was there before. Nothing that is not named here is written."""

    op: Literal["update"]
    id: str
    seen: NotRequired[FieldValue]
    """The revision of the document that the changes were worked out from, if it had one."""
    revision: str
    changes: dict[str, Change]
    """By path, which names elements of lists by their identities."""
    left_out: NotRequired[list[PlannedError]]
    """Cells, or rows, that cannot be used, and are left out while the rest is used."""


class Unchanged(_OfRecord):
    """A document that is as the file says already."""

    op: Literal["unchanged"]
    id: str


class Delete(_OfRecord):
    """A document that is to be marked as deleted."""

    op: Literal["delete"]
    id: str
    seen: NotRequired[FieldValue]
    revision: str
    document: Document
    """The whole of it, as it is now."""


class Refused(_OfRecord):
    """A record that cannot be used."""

    op: Literal["error"]
    errors: list[PlannedError]


class CreateReferenced(TypedDict):
    """A document that records refer to and that does not exist yet."""

    op: Literal["reference"]
    collection: str
    id: str
    document: Document


Operation = Create | Update | Unchanged | Delete | Refused | CreateReferenced


@dataclass(slots=True)
class Counts:
    """How many records each kind of operation concerns."""

    create: int = 0
    update: int = 0
    unchanged: int = 0
    delete: int = 0
    error: int = 0
    reference: int = 0
    """Documents that are created since records refer to them."""

    def add(self, operation: Operation) -> None:
        kind = operation["op"]
        setattr(self, kind, getattr(self, kind) + 1)

    def plus(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def changes(self) -> int:
        """Records that are written."""
        return self.create + self.update + self.delete

    def as_json(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class PlanChunk:
    """Some consecutive operations, and where in the file they begin and end."""

    operations: list[Operation]
    start: int
    end: int


class PlanDigest:
    """The SHA-256 of a plan's bytes and those of the file that it was made from: the same only for the same of both."""

    def __init__(self) -> None:
        self._plan = hashlib.sha256()
        self._file = hashlib.sha256()

    def of_plan(self, chunk: bytes) -> None:
        self._plan.update(chunk)

    def of_file(self, chunk: bytes) -> None:
        self._file.update(chunk)

    @property
    def value(self) -> str:
        return hashlib.sha256(self._plan.digest() + self._file.digest()).hexdigest()


_MAX_BYTES: Final = 4 * 1024 * 1024
"""In one chunk, for any number of operations; a bulk write has its limit far above."""
_EXTENDED: Final = b'"$'
_OPTIONS: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED,
    tz_aware=True,
    tzinfo=UTC,
    datetime_representation=json_util.DatetimeRepresentation.ISO8601,
)


@dataclass(frozen=True, slots=True)
class PlanForm:
    """How the plans of a batch type are written, where clients know them in another form than the usual one."""

    folder: str | None = None
    """Of the plans' files."""
    document: str = "document"
    """What the document of a new record is called."""
    reference: str = "reference"
    """What the operation is called that creates what a record refers to."""
    unchanged: bool = True
    """Whether records that stay as they are are in it."""


_USUAL: Final = PlanForm()


def plan_key(batch_type: str, job_id: str, run_number: int, form: PlanForm = _USUAL) -> str:
    """A name of its own for each run, so that a worker that lost its job cannot write over the plan of the next."""
    return f"{form.folder or f'imports/{batch_type}/plans'}/{run_number}-{job_id}-PLAN.jsonl"


def encode(operation: Operation, form: PlanForm = _USUAL) -> bytes:
    line: Fields = operation
    if form.document != "document" and operation["op"] == "create":
        line = {form.document if name == "document" else name: value for name, value in operation.items()}
    elif form.reference != "reference" and operation["op"] == "reference":
        line = {**operation, "op": form.reference}
    return to_json(line if _are_json(line.values()) else _extended(line)) + b"\n"


def decode(line: bytes, form: PlanForm = _USUAL) -> Operation:
    """Raises `ValueError`."""
    values: Document = from_json(line)
    if _EXTENDED in line:
        values = _revived(values)
    if values["op"] == "create":
        values["document"] = values.pop(form.document)
    elif values["op"] == form.reference:
        values["op"] = "reference"
    return cast("Operation", values)


def _extended(value: object) -> FieldValue:
    """What JSON has no form for, as Extended JSON."""
    match value:
        case float() if not math.isfinite(value):
            return {"$numberDouble": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {str(key): _extended(item) for key, item in value.items()}
        case list() | tuple():
            return [_extended(item) for item in value]
        case datetime():
            moment = value if value.tzinfo else value.replace(tzinfo=UTC)
            return {"$date": moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        case _:
            return json_util.default(value, _OPTIONS)


def _are_json(values: Iterable[FieldValue]) -> bool:
    """Whether `to_json` writes them as they are: of a time, for example, it makes a text like any other."""
    for value in values:
        kind = type(value)
        if kind is str or value is None or kind is int or kind is bool:
            continue
        if kind is dict:
            if not _are_json(value.values()):
                return False
        elif kind is list:
            if not _are_json(value):
                return False
        elif kind is not float or not math.isfinite(value):
            return False
    return True


def _revived(value: object) -> FieldValue:
    match value:
        case dict():
            inner = {key: _revived(item) for key, item in value.items()}
            if len(inner) <= 2 and any(key.startswith("$") for key in inner):
                return json_util.object_hook(inner, _OPTIONS)
            return inner
        case list():
            return [_revived(item) for item in value]
        case _:
            return value


async def read_chunks(
    files: Files, key: str, *, start: int, size: int, form: PlanForm = _USUAL
) -> AsyncGenerator[PlanChunk, None]:
    """The operations from a byte offset on, at most `size` at a time. Raises `FileMissing`, `StrategyError`."""
    lines: list[bytes] = []
    begin, length, rest = start, 0, b""
    async for piece in files.read(key, start=start):
        *complete, rest = (rest + piece).split(b"\n")
        for line in complete:
            lines.append(line)
            length += len(line) + 1
            if len(lines) == size or length >= _MAX_BYTES:
                yield PlanChunk(_decoded(lines, key, form), begin, begin + length)
                begin, lines, length = begin + length, [], 0
    if rest:
        raise StrategyError(f"The plan {key} is incomplete", public=True)
    if lines:
        yield PlanChunk(_decoded(lines, key, form), begin, begin + length)


def _decoded(lines: list[bytes], key: str, form: PlanForm) -> list[Operation]:
    try:
        return [decode(line, form) for line in lines]
    except (ValueError, KeyError) as error:
        raise StrategyError(f"The plan {key} cannot be read: {error}") from error
