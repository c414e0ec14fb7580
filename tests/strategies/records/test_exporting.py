"""A file of records: what is in it, and that importing it again changes nothing."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import pytest
from pydantic_core import from_json

from batchbus_strategies import JobRefused, StrategyError
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.customers import CustomerExport, Customers

CONTENT = (
    "Email,First Name,Group,Tier,Credit Limit,Discount,VAT,Status,Newsletter,Tags,City,Phone 1,Phone 1 Kind,Phone 2,"
    "Picture 1,Attribute Size,Attribute Colour\n"
    'ada@example.com,"=Ada, ""the"" first",Wholesale,Gold,1000.50 EUR,2.50,DE1,blocked,TRUE,"a,""b, c""",London,0049,home,'
    "00123456789012345678,https://example.com/1,L,red\n"
    "bob@example.com,,,,12 JPY,,,active,FALSE,,,,,,,,\n"
)


async def test_a_file_has_a_column_for_each_field_and_as_many_as_the_lists_take(customers: Customers) -> None:
    await customers.run(CONTENT)
    rows = list(csv.DictReader(io.StringIO((await customers.export(order="Email")).decode())))
    assert rows[0] == {
        "Email": "ada@example.com",
        "First Name": '\'=Ada, "the" first',
        "Group": "Wholesale",
        "Tier": "Gold",
        "Channel": "",
        "Credit Limit": "1000.50 EUR",
        "Discount": "2.5",
        "VAT": "DE1",
        "Status": "blocked",
        "Newsletter": "TRUE",
        "Tags": 'a,"b, c"',
        "City": "London",
        "Postal Code": "",
        "Phone 1": "0049",
        "Phone 1 Kind": "home",
        "Phone 2": "00123456789012345678",
        "Phone 2 Kind": "",
        "Picture 1": "https://example.com/1",
        "Attribute Colour": "red",
        "Attribute Size": "L",
    }
    assert rows[1]["Credit Limit"] == "12 JPY"
    assert [row["Email"] for row in rows] == ["ada@example.com", "bob@example.com"]


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ({}, "c.csv"),
        ({"format": "tsv"}, "c.tsv"),
        ({"format": "xlsx"}, "c.xlsx"),
        ({"format": "jsonl"}, "c.jsonl"),
        ({"format": "json"}, "c.json"),
        ({"format": "csv", "compression": "gzip"}, "c.csv.gz"),
    ],
)
async def test_importing_an_export_changes_nothing(customers: Customers, context: Any, name: str) -> None:
    await customers.run(CONTENT)
    before = await customers.all()
    job = await customers.run(await customers.export(**context), name=name)
    assert [line["op"] for line in customers.lines(job, "PLAN")] == ["unchanged", "unchanged"]
    assert await customers.all() == before


@pytest.mark.parametrize(
    ("context", "emails"),
    [
        ({"filterable_fields": {"Status": "blocked"}}, ["ada@example.com"]),
        ({"filterable_fields": {"newsletter": False}}, ["bob@example.com"]),
        ({"filterable_fields": {"Discount": {"gte": "2.5"}}}, ["ada@example.com"]),
        ({"filterable_fields": {"email": ["bob@example.com", "c@example.com"]}}, ["bob@example.com"]),
        ({"filterable_fields": {"created_at": {"gt": "2999-01-01"}}}, []),
        ({"order": "-email"}, ["bob@example.com", "ada@example.com"]),
        ({"order": "Email", "batch_size": 1}, ["ada@example.com"]),
    ],
)
async def test_what_is_exported_can_be_chosen(customers: Customers, context: Any, emails: list[str]) -> None:
    await customers.run(CONTENT)
    content = await customers.export(format="jsonl", fields=["Email"], **context)
    assert [from_json(line) for line in content.splitlines()] == [{"Email": email} for email in emails]


async def test_columns_can_be_chosen_and_compressed(customers: Customers) -> None:
    await customers.run(CONTENT)
    content = await customers.export(fields=["First Name", "Email", "Phone <n>"], compression="gzip")
    assert gzip.decompress(content).decode().splitlines()[0] == "First Name,Email,Phone 1,Phone 2"


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"filterable_fields": {"Colour": "red"}}, "filterable_fields.Colour"),
        ({"filterable_fields": {"Discount": "much"}}, "filterable_fields.Discount"),
        ({"filterable_fields": {"Discount": {"near": "1"}}}, "filterable_fields.Discount"),
        ({"order": "Colour"}, "order"),
        ({"fields": ["Colour"]}, "fields"),
        ({"format": "pdf"}, "format"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
async def test_what_cannot_be_chosen_is_refused_with_its_field(customers: Customers, context: Any, field: str) -> None:
    with pytest.raises(JobRefused) as refused:
        await FakeJob(CustomerExport(), context, customers.services).prepare()
    assert refused.value.field == field


async def test_of_an_empty_collection_there_is_a_header(customers: Customers) -> None:
    content = (await customers.export()).decode()
    assert content.startswith("Email,First Name,Group")
    assert content.count("\r\n") == 1


async def planned_export(customers: Customers) -> FakeJob[Any]:
    job = FakeJob(CustomerExport(), {"order": "Email"}, customers.services)
    await job.prepare()
    await job.pre_process()
    return job


def rows_of(customers: Customers, job: FakeJob[Any]) -> list[dict[str, str]]:
    content = customers.files.get(job.result["file_key"]).decode()
    return list(csv.DictReader(io.StringIO(content, newline="")))


async def test_what_others_add_while_an_export_is_made_has_columns_too(customers: Customers) -> None:
    await customers.run(CONTENT)
    job = await planned_export(customers)
    added = {"pictures": ["1", "2", "3"], "attributes": {"Cut": "wide"}}
    await customers.services.catalog["customers"].update_one({"email": "bob@example.com"}, {"$set": added})
    await customers.services.catalog["customers"].insert_one({"_id": "cus_9", "email": "cleo@example.com"})
    await job.process()
    rows = rows_of(customers, job)
    assert [rows[1][name] for name in ("Picture 1", "Picture 3", "Attribute Cut")] == ["1", "3", "wide"]
    assert (job.result["count"], job.result["advancement_count"], len(rows)) == (3, 3, 3)
    assert [key for key in customers.files.all_keys() if key.startswith("exports/")] == [job.result["file_key"]]


async def test_others_who_add_again_and_again_fail_an_export_that_leaves_no_file(
    customers: Customers, monkeypatch: pytest.MonkeyPatch
) -> None:
    await customers.run(CONTENT)
    job = await planned_export(customers)
    pictures = 1

    async def with_shown(self: CustomerExport, run: Any, documents: Any) -> Any:
        nonlocal pictures
        pictures += 1
        return [{**each, "pictures": [str(number) for number in range(pictures)]} for each in documents]

    monkeypatch.setattr(CustomerExport, "with_shown", with_shown)
    with pytest.raises(StrategyError, match="Others gave customer records more values than the file had columns for"):
        await job.process()
    assert not [key for key in customers.files.all_keys() if key.startswith("exports/")]


async def test_a_value_that_no_cell_can_hold_is_named_with_its_record_and_its_column(customers: Customers) -> None:
    await customers.services.catalog["customers"].insert_one(
        {"_id": "cus_7", "email": "a@example.com", "discount": 1.5}
    )
    job = await planned_export(customers)
    with pytest.raises(
        StrategyError, match=r'The customer cus_7 cannot be exported, as its "Discount" .*1\.5 is no amount'
    ):
        await job.process()
