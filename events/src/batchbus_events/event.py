"""The envelope of every message: CloudEvents 1.0 in structured JSON, encoded and decoded with all errors gathered.

Source: CloudEvents 1.0.2 and its JSON event format. What batchbus adds to the rules there: `data` is a JSON object;
limits on size, depth and the length of attributes; only values that MongoDB can store.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from pydantic_core import PydanticSerializationError, from_json, to_json

__all__ = [
    "MAX_ATTRIBUTE",
    "MAX_BYTES",
    "MAX_DEPTH",
    "Event",
    "EventError",
    "FieldError",
    "InvalidEvent",
    "Json",
    "NewerSchema",
    "check_schema_version",
    "decode",
    "encode",
]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What `data` may hold. Integers are signed 64 bits, numbers finite, keys without NUL."""

MAX_BYTES: Final = 1_048_576
"""The largest encoded event."""
MAX_DEPTH: Final = 64
"""How deep objects and arrays may be nested; the envelope itself is level 1, `data` level 2."""
MAX_ATTRIBUTE: Final = 1024
"""The most characters that an attribute may have."""

_MAX_ERRORS: Final = 100
_ERRORS_SHOWN: Final = 20
_INT64: Final = range(-(2**63), 2**63)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_URI: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
# RFC 3339; `datetime.fromisoformat` alone takes more.
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_JSON_TYPE: Final = re.compile(r"[^/\s;]+/(?:[^/\s;]+\+)?json", re.IGNORECASE)
_EXTENSION: Final = re.compile(r"[a-z0-9]+")
_SCHEMA: Final = re.compile(
    r"(?P<name>urn:batchbus:schema:[^:]+:[^:]+):(?P<major>\d{1,9})\.(?P<minor>\d{1,9})", re.ASCII
)
_TAKEN: Final = frozenset(
    {"specversion", "type", "source", "id", "data", "data_base64", "time", "subject", "dataschema", "datacontenttype"}
    | {"sequence", "causationid", "traceparent", "replayid", "replayedat", "replayedby"}
)
"""Names that no unknown extension attribute can have."""


class EventError(Exception):
    """An event cannot be used."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with an event."""

    path: str
    """Where in the event it is, with dots, such as `data.context.rows.3`. The empty text stands for all of it."""
    code: str
    """A word for programs, such as `too_large`."""
    message: str
    """What is wrong, for people."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidEvent(EventError):
    """The event is not valid, and no later try will change that. `errors` holds everything that is wrong with it."""

    def __init__(self, errors: Iterable[FieldError]) -> None:
        self.errors = tuple(errors)
        """Everything that is wrong with the event, up to 100 things."""
        shown = [str(error) for error in self.errors[:_ERRORS_SHOWN]]
        if len(self.errors) > _ERRORS_SHOWN:
            shown.append(f"and {len(self.errors) - _ERRORS_SHOWN} more")
        super().__init__("; ".join(shown))


class NewerSchema(EventError):
    """The event's data has a newer minor version than this process knows: hold it for a newer process."""

    def __init__(self, dataschema: str, known: str) -> None:
        super().__init__(f"dataschema {dataschema} is newer than {known}, which is what this process knows")
        self.dataschema = dataschema
        """The schema that the event names."""
        self.known = known
        """The schema that this process knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event. Nothing is checked here: `encode` and `decode` do."""

    type: str
    """The wire name, such as `batch.created`."""
    source: str
    """Who says it, as a URI-reference; `source` and `id` together name the event."""
    id: str
    """The event's id. A source gives each id to one event only, so a second message with both is a repetition."""
    data: Mapping[str, Json]
    """What the event says, in the form that `docs/schemas` gives for its type; encoded, at most 1 MiB and 64 levels."""
    time: datetime | None = None
    """When it happened; aware, to the millisecond on the wire."""
    subject: str | None = None
    """The job's id."""
    dataschema: str | None = None
    """`urn:batchbus:schema:<trigger|event>:<wire name>:<major>.<minor>`; None means version 1.0."""
    sequence: int | None = None
    """Counts the lifecycle events of one job: 1, 2, 3 … without a gap."""
    causationid: str | None = None
    """The id of the event that caused this one."""
    traceparent: str | None = None
    """The trace that it belongs to, as in W3C Trace Context."""
    replayid: str | None = None
    """On an event that is published again: the id of the replay that did it."""
    replayedat: datetime | None = None
    """On an event that is published again: when that was; aware."""
    replayedby: str | None = None
    """On an event that is published again: the user on whose behalf."""
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict)
    """Every other extension attribute, kept as it came."""


def encode(event: Event) -> bytes:
    """The event as it goes over the wire. Raises `InvalidEvent` for anything that `decode` would refuse."""
    attributes: dict[str, Json] = {
        "specversion": "1.0",
        "type": event.type,
        "source": event.source,
        "id": event.id,
        "time": _timestamp(event.time),
        "subject": event.subject,
        "dataschema": event.dataschema,
        "sequence": event.sequence,
        "causationid": event.causationid,
        "traceparent": event.traceparent,
        "replayid": event.replayid,
        "replayedat": _timestamp(event.replayedat),
        "replayedby": event.replayedby,
    }
    envelope: dict[str, Json] = {name: value for name, value in attributes.items() if value is not None}
    clash = event.extensions.keys() & _TAKEN
    if clash:
        raise InvalidEvent(FieldError(name, "bad_extension", "is no extension attribute") for name in sorted(clash))
    envelope.update(event.extensions)
    envelope["datacontenttype"] = "application/json"
    envelope["data"] = dict(event.data)
    _read(envelope)
    try:
        body = to_json(envelope)
    except PydanticSerializationError as error:
        raise InvalidEvent([FieldError("", "not_json", f"cannot be written as JSON: {error}")]) from error
    _check_size(body)
    return body


def decode(body: bytes) -> Event:
    """The event in a message body. Of keys that occur twice, the last one counts. Raises `InvalidEvent`."""
    _check_size(body)
    try:
        envelope = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        code = "too_deep" if "recursion limit" in str(error) else "not_json"
        raise InvalidEvent([FieldError("", code, f"not JSON that batchbus can read: {error}")]) from error
    if not isinstance(envelope, dict):
        raise InvalidEvent([FieldError("", "not_an_object", "not a CloudEvent: the body is JSON, but not an object")])
    return _read(envelope)


def check_schema_version(event: Event, known: str) -> None:
    """Whether data of the event's `dataschema` can be read by a process that knows the schema `known`.

    Raises: `NewerSchema` for a newer minor version, `InvalidEvent` for another major version or another schema.
    """
    if event.dataschema == known:
        return
    ours = _SCHEMA.fullmatch(known)
    if ours is None:
        raise ValueError(f"{known!r} names no schema of batchbus")
    dataschema = event.dataschema or f"{ours['name']}:1.0"
    theirs = _SCHEMA.fullmatch(dataschema)
    if theirs is None or theirs["name"] != ours["name"] or int(theirs["major"]) != int(ours["major"]):
        message = f"{_short(dataschema)} is no schema that this process can read; it knows {known}"
        raise InvalidEvent([FieldError("dataschema", "unknown_schema", message)])
    if int(theirs["minor"]) > int(ours["minor"]):
        raise NewerSchema(dataschema, known)


def _check_size(body: bytes) -> None:
    if len(body) > MAX_BYTES:
        raise InvalidEvent([FieldError("", "too_large", f"{len(body):,} bytes; at most {MAX_BYTES:,} are allowed")])


def _timestamp(time: datetime | None) -> str | None:
    if time is None:
        return None
    if time.tzinfo is None:
        raise InvalidEvent([FieldError("time", "bad_time", "has no time zone")])
    return time.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _read(envelope: dict[str, Json]) -> Event:
    attributes = _Attributes(envelope)
    errors = attributes.errors
    version = attributes.required("specversion")
    if version not in ("", "1.0"):
        errors.append(FieldError("specversion", "bad_specversion", f"is {_short(version)}; only 1.0 is understood"))
    content_type = attributes.text("datacontenttype")
    if content_type is not None and not _JSON_TYPE.fullmatch(content_type.partition(";")[0].rstrip()):
        errors.append(
            FieldError("datacontenttype", "bad_content_type", f"is {_short(content_type)}; data has to be JSON")
        )
    if "data_base64" in attributes:
        errors.append(FieldError("data_base64", "binary_data", "is not accepted; put a JSON object into data"))
    data = envelope.get("data")
    if data is None:
        data = {}
    if not isinstance(data, dict):
        errors.append(FieldError("data", "bad_type", f"has to be an object, not {_kind(data)}"))
        data = {"data": data}
    errors.extend(_value_errors(data))
    event = Event(
        type=attributes.required("type"),
        source=attributes.required("source", form=_URI),
        id=attributes.required("id"),
        data=data,
        time=attributes.time("time"),
        subject=attributes.text("subject"),
        dataschema=attributes.text("dataschema", form=_URI),
        sequence=attributes.count("sequence"),
        causationid=attributes.text("causationid"),
        traceparent=attributes.text("traceparent"),
        replayid=attributes.text("replayid"),
        replayedat=attributes.time("replayedat"),
        replayedby=attributes.text("replayedby"),
        extensions=attributes.extensions(),
    )
    if errors:
        raise InvalidEvent(errors[:_MAX_ERRORS])
    return event


class _Attributes:
    """Takes attributes out of an envelope and gathers what is wrong with them. A null attribute is an absent one."""

    def __init__(self, envelope: Mapping[str, Json]) -> None:
        self._envelope = envelope
        self.errors: list[FieldError] = []

    def __contains__(self, name: str) -> bool:
        return self._envelope.get(name) is not None

    def required(self, name: str, *, form: re.Pattern[str] | None = None) -> str:
        if name not in self:
            self._report(name, "missing", "is missing")
        return self.text(name, form=form) or ""

    def text(self, name: str, *, form: re.Pattern[str] | None = None) -> str | None:
        value = self._envelope.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self._report(name, "bad_type", f"has to be a string, not {_kind(value)}")
            return None
        if not value:
            self._report(name, "empty", "is empty")
        elif len(value) > MAX_ATTRIBUTE:
            self._report(name, "too_long", f"has {len(value):,} characters; at most {MAX_ATTRIBUTE:,} are allowed")
        elif form is not None and not form.fullmatch(value):
            self._report(name, "bad_uri", f"is no URI: {_short(value)}")
        elif not value.isprintable() and _CONTROL.search(value):
            self._report(name, "control_character", "has a control character in it")
        return value

    def time(self, name: str) -> datetime | None:
        value = self.text(name)
        if not value:
            return None
        try:
            if not _TIMESTAMP.fullmatch(value):
                raise ValueError("not in the form of RFC 3339")
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self._report(name, "bad_time", f"is no RFC 3339 timestamp: {_short(value)}")
            return None

    def count(self, name: str) -> int | None:
        value = self._envelope.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _INT64.stop:
            self._report(name, "bad_type", "has to be an integer from 1 on")
            return None
        return value

    def extensions(self) -> dict[str, str | int | bool]:
        found: dict[str, str | int | bool] = {}
        for name, value in self._envelope.items():
            if name in _TAKEN or value is None:
                continue
            shown = _short(name)
            if not _EXTENSION.fullmatch(name) or len(name) > MAX_ATTRIBUTE:
                self._report(shown, "bad_extension", "an attribute's name consists of a to z and 0 to 9")
            elif isinstance(value, str):
                if len(value) > MAX_ATTRIBUTE:
                    self._report(shown, "too_long", f"has more than {MAX_ATTRIBUTE:,} characters")
                found[name] = value
            elif isinstance(value, int) and value in _INT64:
                found[name] = value
            else:
                self._report(shown, "bad_extension", f"has to be a string, integer or boolean, not {_kind(value)}")
        return found

    def _report(self, name: str, code: str, message: str) -> None:
        self.errors.append(FieldError(name, code, message))


def _value_errors(data: Mapping[str, object]) -> list[FieldError]:
    """What keeps `data` from being stored, at most `_MAX_ERRORS` of it. Not recursive: depth is hostile input."""
    errors: list[FieldError] = []
    containers: deque[tuple[Mapping[str, object] | list[object], int, tuple[str, ...]]] = deque([(data, 2, ("data",))])
    while containers and len(errors) < _MAX_ERRORS:
        container, depth, path = containers.popleft()

        def report(key: object, code: str, message: str, path: tuple[str, ...] = path) -> None:
            errors.append(FieldError(".".join((*path, _short(str(key)))), code, message))

        for key, value in enumerate(container) if isinstance(container, list) else container.items():
            if isinstance(key, str):
                if "\0" in key:
                    report(key, "nul_in_key", "has a NUL in its key")
            elif not isinstance(container, list):
                report(key, "bad_type", f"has a key that is no string but {_kind(key)}")
            if value is None or isinstance(value, str):
                continue
            if isinstance(value, int):
                if value not in _INT64:
                    report(key, "integer_too_large", "is an integer beyond 64 bits")
            elif isinstance(value, float):
                if not math.isfinite(value):
                    report(key, "not_finite", "is no finite number")
            elif not isinstance(value, dict | list):
                report(key, "bad_type", f"is no JSON value but {_kind(value)}")
            elif depth >= MAX_DEPTH:
                report(key, "too_deep", f"is nested deeper than {MAX_DEPTH} levels")
            else:
                containers.append((value, depth + 1, (*path, _short(str(key)))))
    return errors[:_MAX_ERRORS]


_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def _short(text: str) -> str:
    """Text of unknown origin, fit for a message: printable, and not long."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= 64 else shown[:63] + "…"
