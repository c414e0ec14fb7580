"""What a query asks for, as Medusa's clients write it and as Medusa 1.20.10 understands it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from batchbus_service.http.medusa.listing import JobsQuery, read_listing
from batchbus_service.http.medusa.query import parse_query
from batchbus_service.http.medusa.wire import FIELDS
from batchbus_service.http.server.errors import ApiError

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "meant"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a", {"a": ""}),
        ("a=x%20y+z%3D", {"a": "x y z="}),
        ("a=1&a=2", {"a": ["1", "2"]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a%5B%5D=1&a%5b%5d=2", {"a": ["1", "2"]}),
        ("a[1]=y&a[0]=x", {"a": ["x", "y"]}),
        ("a[7]=x&a=y", {"a": ["y", "x"]}),
        ("a[][]=x", {"a": ["x"]}),
        ("a[0][0]=x", {"a": [["x"]]}),
        ("a[]=x,y", {"a": ["x", "y"]}),
        ("a=x,y", {"a": "x,y"}),
        ("a[]=x,y&a[]=z", {"a": ["x,y", "z"]}),
        ("a[lt]=1&a[gt]=2", {"a": {"lt": "1", "gt": "2"}}),
        ("a[lt]=1&a[lt]=2", {"a": {"lt": ["1", "2"]}}),
        ("a[-1]=x", {"a": {"-1": "x"}}),
        ("a[]=x&a[b]=y", {"a": {"0": "x", "b": "y"}}),
        ("a=x&a[b]=y", {"a": ["x", {"b": "y"}]}),
        ("a[b][c]=x", {"a": {"b": {"c": "x"}}}),
        ("a[b=x", {"a": {"[b": "x"}}),
        ("a[0]b=x", {"a": ["x"]}),
        ("a]=x", {"a]": "x"}),
        ("[a]=x&[]=y", {"a": "x", "0": "y"}),
        ("=x&&__proto__=y&__proto__[a]=z", {}),
        ("a.b=x", {"a.b": "x"}),
        ("a" + "[b]" * 9 + "=x", {"a": {"b": {"b": {"b": {"b": {"b": "x"}}}}}}),
    ],
)
def test_brackets_are_read_as_medusas_server_reads_them(query: str, meant: dict[str, Any]) -> None:
    assert parse_query(query.encode()) == meant


def test_more_parameters_than_anyone_needs_are_passed_over() -> None:
    assert parse_query(b"&".join([b"a=1"] * 1000 + [b"b=2"])) == {"a": ["1"] * 1000}


def _read(query: str) -> JobsQuery:
    return read_listing(query.encode(), None)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("3", 3), ("+3", 3), (" 3 ", 3), ("3.0", 3), ("2.5", 2.5), ("3e0", 3), ("0x1F", 31), ("0b11", 3)],
)
def test_a_number_may_be_written_as_in_javascript(text: str, limit: float) -> None:
    assert _read(f"limit={text.replace('+', '%2B')}").limit == limit


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("fields=id,type", ("id", "type")),
        ("fields=type,%20id,", ("type", "id")),
        ("fields=", ()),
        ("fields=-context,-result", tuple(field for field in FIELDS if field not in ("context", "result"))),
        ("fields=%2Btype", FIELDS),
        ("fields=id,-type", ("id", "type")),
        ("", FIELDS),
    ],
)
def test_fields_are_those_alone_or_all_but_some(fields: str, shown: tuple[str, ...]) -> None:
    assert _read(fields).fields == shown


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-01",
        "2026-01-01T00:00",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.000Z",
        "2026-01-01T02:00:00%2B02:00",
        " 20260101",
        "2026-01",
        "2026",
        "1767225600",
    ],
)
def test_a_time_is_iso_8601_or_seconds(text: str) -> None:
    times = _read(f"created_at[gt]={text}&canceled_at[lte]={text}&failed_at={text}").times
    assert times == {
        "created_at": {"gt": NEW_YEAR},
        "canceled_at": {"lte": NEW_YEAR},
        "failed_at": {"gte": NEW_YEAR, "lte": NEW_YEAR},
    }


TIME = "takes [lt], [gt], [lte] or [gte] and an ISO 8601 time, or null"
NUMBER = "must be a number conforming to the specified constraints"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        # in Medusa's words
        ("limit=abc", f"limit {NUMBER}"),
        ("limit=1&limit=2", f"limit {NUMBER}"),
        ("limit[]=1", f"limit {NUMBER}"),
        ("limit=1_0", f"limit {NUMBER}"),
        ("limit=1e999", f"limit {NUMBER}"),
        ("offset=Infinity&limit=NaN", f"limit {NUMBER}, offset {NUMBER}"),
        ("id=batch_x", "id must be an array"),
        ("type=rows", "type must be an array"),
        ("type[a]=rows", "type must be an array"),
        ("order=id&order=type", "order must be a string"),
        ("order[id]=ASC", "order must be a string"),
        ("fields[]=id", "fields must be a string"),
        ("expand[]=created_by_user", "expand must be a string"),
        ("created_by=usr_x", "property created_by should not exist"),
        ("foo[bar][baz]=x&Type=x", "property foo should not exist, property Type should not exist"),
        (
            "order[]=x&limit=x&offset=x&id=x&type=x&expand[]=x&fields[]=x&foo=1",
            "property foo should not exist, id must be an array, type must be an array, "
            f"limit {NUMBER}, offset {NUMBER}, "
            "expand must be a string, fields must be a string, order must be a string",
        ),
        ("failed_at[gt]=yesterday&foo=1", "property foo should not exist"),
        # where Medusa's server fails
        ("limit=0", "limit must be from 1 to 1000"),
        ("limit=", "limit must be from 1 to 1000"),
        ("limit=-1", "limit must be from 1 to 1000"),
        ("limit=1001", "limit must be from 1 to 1000"),
        ("limit=99999999999999999999", "limit must be from 1 to 1000"),
        ("offset=-1", "offset must be from 0 to 2147483647"),
        ("fields=bogus", "fields has no field 'bogus'"),
        ("fields=%2Bbogus", "fields has no field '+bogus'"),
        ("expand=bogus", "expand has no field 'bogus'"),
        ("order=bogus", "order has no field 'bogus'"),
        ("order=", "order has no field ''"),
        ("order=type,created_at", "order has no field 'type,created_at'"),
        ("type[0][a]=rows", "each value in type must be a string"),
        ("failed_at[gt]=yesterday", f"failed_at {TIME}"),
        ("failed_at[gt]=2026-02-30", f"failed_at {TIME}"),
        ("failed_at[foo]=2026-01-01", f"failed_at {TIME}"),
        ("failed_at[lt]=2026-01-01&failed_at[lt]=2027-01-01", f"failed_at {TIME}"),
        ("failed_at[]=2026-01-01", f"failed_at {TIME}"),
        ("failed_at[lt]=0001-01-01T00:00%2B14:00", f"failed_at {TIME}"),
        ("failed_at=", f"failed_at {TIME}"),
        ("id[]=a%00b", "id has a NUL in it"),
        ("status[]=done", "status must be among created, pre_processed, confirmed, processing, completed, failed, "
         "canceled, not 'done'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_named(query: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        _read(query)
    assert (refused.value.status, refused.value.type, refused.value.message) == (400, "invalid_data", message)


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("created_at=2026-01-01", ["an unknown value was passed to the validate function"]),
        ("created_at[]=2026-01-01&limit=x", ["an unknown value was passed to the validate function"]),
        ("created_at[gt]=yesterday", ["gt must be a Date instance"]),
        ("created_at[lt]=2026-01-01&created_at[lt]=2027-01-01", ["lt must be a Date instance"]),
        (
            "foo=1&created_at[gte]=x&created_at[lt]=x&created_at[eq]=x",
            ["property eq should not exist", " lt must be a Date instance", " gte must be a Date instance"],
        ),
    ],
)
def test_a_bad_comparison_of_created_at_is_all_that_is_spoken_of(query: str, faults: list[str]) -> None:
    with pytest.raises(ApiError) as refused:
        _read(query)
    assert json.loads(refused.value.message) == {
        "message": "created_at must be one of: DateComparisonOperator",
        "details": {"DateComparisonOperator": faults},
    }


def test_an_index_of_thousands_of_digits_is_a_name() -> None:
    """Python refuses to read such a number, which once was a 500."""
    digits = b"1" * 5000
    assert parse_query(b"a[" + digits + b"]=x") == {"a": {digits.decode(): "x"}}
