"""Keys and unique values that are no texts: one value has many forms, and is one record in all of them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import pytest
from bson.decimal128 import Decimal128

from batchbus_strategies.records import Column, Key, Record, RecordExport, RecordImport
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.customers import Customers


class Shelf(Record, collection="shelves", id_prefix="shelf_"):
    number: Annotated[int, Key("Number")]
    height: Annotated[Decimal, Key("Height")] = Decimal(1)
    built: Annotated[date | None, Column("Built")] = None
    place: Annotated[int | None, Column("Place", unique=True)] = None


class ShelfImport(RecordImport[Shelf]):
    batch_type = "shelf-import"


class ShelfExport(RecordExport[Shelf]):
    batch_type = "shelf-export"


async def planned(customers: Customers, content: str, **context: Any) -> list[dict[str, Any]]:
    job = customers.job(content, strategy=ShelfImport(), on_error="skip", **context)
    await job.pre_process()
    return customers.lines(job, "PLAN")


async def test_two_forms_of_a_number_are_one_record(customers: Customers) -> None:
    plan = await planned(customers, "Number,Height\n5,2.50\n5.0,2.5\n+5,25e-1\n6,2.5\n")
    assert [(line["key"], line["lines"], line["op"]) for line in plan] == [
        (["5", "2.5"], [2, 3, 4], "error"),
        (["6", "2.5"], [5], "create"),
    ]


@pytest.mark.parametrize("size", ["small", "large"])
async def test_a_record_is_found_whatever_kind_of_number_its_key_is(customers: Customers, size: str) -> None:
    shelves = customers.services.catalog["shelves"]
    if size == "large":
        await shelves.insert_many([{"_id": f"s_{n}", "number": 10 + n, "height": 1} for n in range(1100)])
    await shelves.insert_one({"_id": "shelf_1", "number": 5.0, "height": Decimal128("2.500"), "place": 7.0})
    (line,) = await planned(customers, "Number,Height,Place\n05,2.5,7\n")
    assert (line["op"], line["id"]) == ("unchanged", "shelf_1")
    taken = await planned(customers, "Number,Height,Place\n6,1,7.0\n")
    assert [error["code"] for error in taken[0]["errors"]] == ["value_taken"]


async def test_a_key_that_is_no_number_is_an_error_of_its_cell(customers: Customers) -> None:
    (line,) = await planned(customers, "Number,Height\nfive,1\n")
    assert [(error["column"], error["code"]) for error in line["errors"]] == [("Number", "bad_integer")]


async def test_what_is_exported_is_the_same_records(customers: Customers) -> None:
    await customers.run("Number,Height,Built,Place\n5,2.50,2026-01-31,1\n6,3,,\n", strategy=ShelfImport())
    job = FakeJob(ShelfExport(), {}, customers.services)
    for phase in job.prepare, job.pre_process, job.process:
        await phase()
    content = customers.files.get(job.result["file_key"]).decode()
    assert [line["op"] for line in await planned(customers, content)] == ["unchanged"] * 2
