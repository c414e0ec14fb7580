"""The envelope: what is accepted, what is refused, and that all faults are named at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchbus_events.event import (
    MAX_BYTES,
    MAX_DEPTH,
    Event,
    InvalidEvent,
    NewerSchema,
    check_schema_version,
    decode,
    encode,
)

MINIMAL: Mapping[str, Any] = {"specversion": "1.0", "type": "batch.created", "source": "shop", "id": "1"}

keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
attributes = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=60)
uris = st.from_regex(r"[a-z][a-z0-9:/._-]{0,40}", fullmatch=True)
times = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000)
)
extensions = st.dictionaries(
    st.from_regex(r"x[a-z0-9]{0,19}", fullmatch=True),
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | attributes,
    max_size=3,
)
events = st.builds(
    Event,
    type=attributes,
    source=uris,
    id=attributes,
    data=st.dictionaries(keys, values, max_size=6),
    time=st.none() | times,
    subject=st.none() | attributes,
    dataschema=st.none() | uris,
    sequence=st.none() | st.integers(1, 2**63 - 1),
    causationid=st.none() | attributes,
    traceparent=st.none() | attributes,
    replayid=st.none() | attributes,
    replayedat=st.none() | times,
    replayedby=st.none() | attributes,
    extensions=extensions,
)


def body(**changes: Any) -> bytes:
    return json.dumps({**MINIMAL, **changes}).encode()


def codes(raw: bytes) -> dict[str, str]:
    """What is wrong with a body: code by path."""
    with pytest.raises(InvalidEvent) as raised:
        decode(raw)
    return {error.path: error.code for error in raised.value.errors}


def decoded(raw: bytes) -> Event | InvalidEvent:
    try:
        return decode(raw)
    except InvalidEvent as error:
        return error


def nested(levels: int) -> bytes:
    """A body that many levels deep, itself included."""
    data: dict[str, Any] = {}
    for _ in range(levels - 2):
        data = {"in": data}
    return body(data=data)


@given(events)
def test_what_was_encoded_is_decoded_to_the_same(event: Event) -> None:
    assert decode(encode(event)) == event


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()) | texts.map(str.encode))
@example(b"[" * 100_000)
@example(b'{"data":' * 100_000)
@example(b'{"data":[{"a":' * 150 + b"1")
@example(b"1" * 5_000)
@example(b'{"sequence":1e400}')
def test_no_body_raises_anything_but_invalid_event(raw: bytes) -> None:
    assert isinstance(decoded(raw), Event | InvalidEvent)


@given(st.dictionaries(st.sampled_from([*MINIMAL, "time", "data", "sequence", "dataschema", "x", "X"]), values))
def test_no_envelope_raises_anything_but_invalid_event(envelope: dict[str, Any]) -> None:
    assert isinstance(decoded(body(**envelope)), Event | InvalidEvent)


def test_the_least_that_is_an_event() -> None:
    assert decode(body()) == Event(type="batch.created", source="shop", id="1", data={})


def test_on_the_wire_times_are_utc_to_the_millisecond() -> None:
    berlin = timezone(timedelta(hours=2))
    event = Event(type="t", source="s", id="1", data={}, time=datetime(2024, 5, 1, 12, 0, 0, 123456, berlin))

    assert json.loads(encode(event))["time"] == "2024-05-01T10:00:00.123Z"


def test_unknown_extension_attributes_are_kept_and_null_ones_are_absent() -> None:
    event = decode(body(tenant="north", priority=3, urgent=True, nothing=None, subject=None, data=None))

    assert event.extensions == {"tenant": "north", "priority": 3, "urgent": True}
    assert (event.subject, event.data) == (None, {})


def test_of_keys_that_occur_twice_the_last_one_counts() -> None:
    assert decode(body()[:-1] + b', "data": {"a": 1, "a": 2}}').data == {"a": 2}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not_json"),
        (b"batch.created", "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"data":NaN}', "not_json"),
        (b'{"data":-Infinity}', "not_json"),
        (b'{"a":"\\ud800"}', "not_json"),
        (b'{"\\udc00":1}', "not_json"),
        (b"[]", "not_an_object"),
        (b'"batch.created"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"[" * 100_000, "too_deep"),
    ],
)
def test_what_is_no_envelope_at_all_is_refused_as_a_whole(raw: bytes, code: str) -> None:
    assert codes(raw) == {"": code}


def test_ten_faults_are_all_named() -> None:
    raw = json.dumps(
        {
            "specversion": "0.3",
            "type": 7,
            "source": "two words",
            "subject": "",
            "time": "yesterday",
            "datacontenttype": "text/csv",
            "data_base64": "AAAA",
            "sequence": 0,
            "UPPER": "case",
            "data": {"a": {"b\0": [1, 2**70]}},
        }
    ).encode()

    assert codes(raw) == {
        "specversion": "bad_specversion",
        "type": "bad_type",
        "source": "bad_uri",
        "id": "missing",
        "subject": "empty",
        "time": "bad_time",
        "datacontenttype": "bad_content_type",
        "data_base64": "binary_data",
        "sequence": "bad_type",
        "UPPER": "bad_extension",
        "data.a.b\\x00": "nul_in_key",
        "data.a.b\\x00.1": "integer_too_large",
    }


def test_the_message_of_the_error_names_every_fault() -> None:
    with pytest.raises(InvalidEvent, match=r"type: is missing; source: is missing; id: is missing"):
        decode(b'{"specversion": "1.0"}')


def test_a_flood_of_faults_stays_readable() -> None:
    with pytest.raises(InvalidEvent) as raised:
        decode(body(data={f"key{number}\0": 2**70 for number in range(10_000)}))

    assert len(raised.value.errors) == 100
    assert len(str(raised.value)) < 4_000


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("data", [], "bad_type"),
        ("data", "text", "bad_type"),
        ("source", "", "empty"),
        ("id", "x" * 1_025, "too_long"),
        ("id", "line\nbreak", "control_character"),
        ("time", "2024-05-01", "bad_time"),
        ("time", "2024-05-01T12:00:00", "bad_time"),
        ("time", "0001-01-01T00:00:00+23:00", "bad_time"),
        ("sequence", True, "bad_type"),
        ("sequence", 1.5, "bad_type"),
        ("sequence", -1, "bad_type"),
        ("sequence", 2**63, "bad_type"),
        ("dataschema", "no uri", "bad_uri"),
        ("listed", ["a"], "bad_extension"),
        ("fraction", 1.5, "bad_extension"),
        ("huge", 2**63, "bad_extension"),
    ],
)
def test_one_bad_attribute_is_named(field: str, value: object, code: str) -> None:
    assert codes(body(**{field: value})) == {field: code}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/vnd.shop+json"]
)
def test_data_may_call_itself_json(content_type: str) -> None:
    assert decode(body(datacontenttype=content_type)).data == {}


def test_nesting_ends_at_the_limit() -> None:
    assert decode(nested(MAX_DEPTH)).data
    assert list(codes(nested(MAX_DEPTH + 1)).values()) == ["too_deep"]


def test_size_ends_at_the_limit() -> None:
    padding = "x" * (MAX_BYTES - len(body(data={"a": ""})))

    assert len(body(data={"a": padding})) == MAX_BYTES
    assert decode(body(data={"a": padding})).data
    assert codes(body(data={"a": padding + "x"})) == {"": "too_large"}


def test_integers_end_at_64_bits() -> None:
    assert decode(body(data={"a": [2**63 - 1, -(2**63)]})).data
    assert codes(body(data={"a": [2**63]})) == {"data.a.0": "integer_too_large"}


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (Event(type="t", source="s", id="1", data={"a": "x" * MAX_BYTES}), "too_large"),
        (Event(type="t", source="s", id="1", data={"a": float("nan")}), "not_finite"),
        (Event(type="t", source="s", id="1", data={"a": "\ud800"}), "not_json"),
        (Event(type="t", source="s", id="1", data={"\0": 1}), "nul_in_key"),
        (Event(type="t", source="s", id="1", data={1: 1}), "bad_type"),  # type: ignore[dict-item]
        (Event(type="t", source="s", id="1", data={"a": {1, 2}}), "bad_type"),  # type: ignore[dict-item]
        (Event(type="", source="s", id="1", data={}), "empty"),
        (Event(type="t", source="s", id="1", data={}, extensions={"sequence": 1}), "bad_extension"),
        (Event(type="t", source="s", id="1", data={}, time=datetime(2024, 1, 1)), "bad_time"),  # noqa: DTZ001
    ],
)
def test_what_could_not_be_decoded_is_not_encoded(event: Event, code: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        encode(event)

    assert code in {error.code for error in raised.value.errors}


KNOWN = "urn:batchbus:schema:event:batch.completed:2.3"


def with_schema(dataschema: str | None) -> Event:
    return Event(type="batch.completed", source="s", id="1", data={}, dataschema=dataschema)


@pytest.mark.parametrize("version", ["2.3", "2.0"])
def test_the_same_and_older_minor_versions_can_be_read(version: str) -> None:
    check_schema_version(with_schema(f"urn:batchbus:schema:event:batch.completed:{version}"), KNOWN)


def test_a_newer_minor_version_is_for_a_newer_process() -> None:
    with pytest.raises(NewerSchema, match=r"2\.4 is newer"):
        check_schema_version(with_schema("urn:batchbus:schema:event:batch.completed:2.4"), KNOWN)


@pytest.mark.parametrize(
    "dataschema",
    [
        None,  # which means 1.0
        "urn:batchbus:schema:event:batch.completed:3.0",
        "urn:batchbus:schema:event:batch.completed:1.9",
        "urn:batchbus:schema:trigger:batch.completed:2.3",
        "urn:batchbus:schema:event:batch.failed:2.3",
        "urn:batchbus:schema:event:batch.completed:2",
        "https://example.com/schema.json",
    ],
)
def test_another_major_version_and_foreign_schemas_are_refused(dataschema: str | None) -> None:
    with pytest.raises(InvalidEvent) as raised:
        check_schema_version(with_schema(dataschema), KNOWN)

    assert [(error.path, error.code) for error in raised.value.errors] == [("dataschema", "unknown_schema")]
