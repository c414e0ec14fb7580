"""Exports of orders and customers through the API: formats, compression, and a choice of records, order and columns.

Each looks only at records of its own, by a filter, and takes them away again: others count what is in the catalogue.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import from_json

from batchbus_strategies.tables import open_table
from batchbus_strategies.testing import LocalFiles
from tests.http.conftest import Person, Site

OURS = [f"exported_{number}" for number in range(1, 4)]


@pytest.fixture
async def shop(site: Site) -> AsyncIterator[None]:
    """Three orders and three customers, and no more of them afterwards than before."""
    catalog = site.database.client[site.service.settings.catalog_database]
    channel = {"_id": "sc_exported", "name": "Fairs", "description": None}
    orders = [
        {
            "_id": id_,
            "display_id": number,
            "status": "pending",
            "currency_code": "eur",
            "total": 1000 * number,
            "sales_channel_id": "sc_exported" if number == 1 else None,
            "created_at": datetime(2025, 3, number, tzinfo=UTC),
        }
        for number, id_ in enumerate(OURS, start=1)
    ]
    customers = [
        {"_id": id_, "email": f"{id_}@example.com", "first_name": name, "phone": "=1+1"}
        for id_, name in zip(OURS, "BAC", strict=True)
    ]
    documents: dict[str, list[dict[str, Any]]] = {"sales_channels": [channel], "orders": orders, "customers": customers}
    for name, found in documents.items():
        await catalog[name].insert_many(found)
    yield
    for name, found in documents.items():
        await catalog[name].delete_many({"_id": {"$in": [each["_id"] for each in found]}})


async def exported(person: Person, batch_type: str, **context: Any) -> bytes:
    job = await person.create(batch_type, {"filterable_fields": {"id": OURS}, **context})
    await person.until(job["id"], "batch.completed")
    result = (await person.job(job["id"]))["result"]
    assert result["count"] == result["advancement_count"]
    link = await person.http.post("/admin/uploads/download-url", json={"file_key": result["file_key"]})
    content = (await person.http.get(link.json()["download_url"])).content
    assert len(content) == result["file_size"]
    return content


@pytest.mark.usefixtures("shop")
async def test_orders_are_exported_in_every_format_with_a_choice_of_columns(ann: Person, tmp_path: Path) -> None:
    columns, files = ["Display_ID", "Total", "Sales channel name"], LocalFiles(tmp_path / "fetched")
    wanted = [["3", "30", ""], ["2", "20", ""], ["1", "10", "Fairs"]]
    text = await exported(ann, "order-export", columns=columns)
    assert list(csv.reader(io.StringIO(text.decode(), newline=""), delimiter=";")) == [columns, *wanted]
    for name, context in {
        "csv.gz": {"format": "csv", "compression": "gzip"},
        "xlsx": {"format": "xlsx"},
        "jsonl": {"format": "jsonl"},
        "json": {"format": "json", "compression": "gzip"},
    }.items():
        content = await exported(ann, "order-export", columns=columns, **context)
        table = await open_table(files, files.put(f"orders.{name}", content))
        rows = [[cell or "" for cell in cells] async for batch in table.batches() for _, cells in batch]
        assert (table.header, rows) == (columns, wanted), name
    some = await exported(ann, "order-export", columns=columns[:1], offset=1, order="display_id", batch_size=1)
    assert some.split() == [b"Display_ID", b"2"]


@pytest.mark.usefixtures("shop")
async def test_customers_are_exported_with_filter_order_fields_and_size(ann: Person) -> None:
    names = ["First Name", "Phone"]
    assert (await exported(ann, "customer-export", fields=names, order="First Name")).decode().split() == [
        "First", "Name,Phone", "A,'=1+1", "B,'=1+1", "C,'=1+1",
    ]  # fmt: skip
    packed = await exported(
        ann, "customer-export", fields=names, order="-first_name", batch_size=2, format="jsonl", compression="gzip"
    )
    assert [from_json(line)["First Name"] for line in gzip.decompress(packed).splitlines()] == ["C", "B"]
    only = {"id": OURS, "first_name": ["A", "C"], "Email": {"gte": f"{OURS[1]}"}}
    content = await exported(ann, "customer-export", fields=["Email"], filterable_fields=only, order="Email")
    assert content.decode().split() == ["Email", f"{OURS[1]}@example.com", f"{OURS[2]}@example.com"]


async def test_what_cannot_be_chosen_is_refused_when_the_job_is_created(ann: Person) -> None:
    for batch_type, context, says in (
        ("order-export", {"columns": ["Colour"]}, "There is no column 'Colour'"),
        ("order-export", {"format": "pdf"}, "format"),
        ("customer-export", {"order": "Colour"}, "cannot be ordered by 'Colour'"),
        ("customer-export", {"filterable_fields": {"Colour": 1}}, "There is no filter 'Colour'"),
        ("customer-export", {"batch_size": 0}, "batch_size"),
    ):
        answer = await ann.http.post("/admin/batch-jobs", json={"type": batch_type, "context": context})
        assert (answer.status_code, says in answer.json()["message"]) == (400, True), answer.text
