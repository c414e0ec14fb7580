"""`order-export` and `order-import`: the form of the file, what may be set in it, and that they keep the contract."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_core import from_json

from batchbus_strategies import JobRefused, Json, Services
from batchbus_strategies.orders import OrderExport, OrderImport
from batchbus_strategies.testing import Crash, FakeJob, LocalFiles, RecordContract

HEADER = (
    "Order_ID;Display_ID;Order status;Date;Customer First name;Customer Last name;Customer Email;Customer ID;"
    "Shipping Address 1;Shipping Address 2;Shipping Country Code;Shipping City;Shipping Postal Code;Shipping Region ID;"
    "Fulfillment Status;Payment Status;Subtotal;Shipping Total;Discount Total;Gift Card Total;Refunded Total;Tax Total;"
    "Total;Currency Code"
)
TOTALS = ("subtotal", "shipping_total", "discount_total", "gift_card_total", "refunded_total", "tax_total", "total")


def order(number: int, currency: str = "eur", **changes: Any) -> dict[str, Any]:
    """An order of the n-th of March, with all its totals."""
    return {
        "_id": f"order_{number}",
        "display_id": number,
        "status": "pending",
        "fulfillment_status": "not_fulfilled",
        "payment_status": "captured",
        "customer_id": "cus_ada",
        "email": "ada@example.com",
        "customer": {"id": "cus_ada", "first_name": "Ada", "last_name": "Love; lace", "email": "ada@example.com"},
        "shipping_address": {
            "address_1": '12 "Church" Lane',
            "address_2": None,
            "country_code": "gb",
            "city": "London, EC",
            "postal_code": "00123",
            "phone": "not exported",
        },
        "region_id": "reg_eu",
        "currency_code": currency,
        **{name: 1050 + place for place, name in enumerate(TOTALS)},
        "created_at": datetime(2025, 3, number, 4, 5, 6, 789000, tzinfo=UTC),
        "deleted_at": None,
        **changes,
    }


@pytest.fixture
async def orders(services: Services) -> Services:
    no_customer = {"customer": None, "shipping_address": None, "refunded_total": -5, "email": "eve@example.com"}
    await services.catalog["orders"].insert_many(
        [
            order(1),
            order(2, "jpy", **no_customer),
            order(3, "kwd", status="completed"),
            order(4, deleted_at=datetime.now(UTC)),
        ]
    )
    return services


async def carried_out(job: FakeJob[Any]) -> FakeJob[Any]:
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


async def export(services: Services, context: dict[str, Json] | None = None) -> tuple[FakeJob[Any], bytes]:
    job = await carried_out(FakeJob(OrderExport(), context or {}, services))
    assert isinstance(services.files, LocalFiles)
    content = services.files.get(job.result["file_key"])
    assert job.result["file_size"] == len(content)
    return job, content


def import_job(services: Services, content: bytes, name: str = "o.csv", **context: Json) -> FakeJob[Any]:
    assert isinstance(services.files, LocalFiles)
    key = services.files.put(f"uploads/{name}", content)
    return FakeJob(OrderImport(), {"fileKey": key, **context}, services)


async def test_a_file_is_in_the_form_that_medusa_gives_it_to_the_byte(orders: Services) -> None:
    job, content = await export(orders)
    assert content.decode() == (
        f"{HEADER}\r\n"
        'order_3;3;completed;"Mon, 03 Mar 2025 04:05:06 GMT";Ada;"Love; lace";ada@example.com;cus_ada;'
        '"12 ""Church"" Lane";;gb;"London, EC";00123;reg_eu;not_fulfilled;captured;'
        "1.05;1.051;1.052;1.053;1.054;1.055;1.056;kwd\r\n"
        'order_2;2;pending;"Sun, 02 Mar 2025 04:05:06 GMT";;;eve@example.com;cus_ada;'
        ";;;;;reg_eu;not_fulfilled;captured;1050;1051;1052;1053;-5;1055;1056;jpy\r\n"
        'order_1;1;pending;"Sat, 01 Mar 2025 04:05:06 GMT";Ada;"Love; lace";ada@example.com;cus_ada;'
        '"12 ""Church"" Lane";;gb;"London, EC";00123;reg_eu;not_fulfilled;captured;'
        "10.5;10.51;10.52;10.53;10.54;10.55;10.56;eur\r\n"
    )
    assert re.fullmatch(r"exports/orders/order-export-\d{19}\.csv", job.result["file_key"])
    assert job.result["stat_descriptors"] == [
        {
            "key": "order-export-count",
            "name": "Order count to export",
            "message": "There will be 3 orders exported by this action",
        }
    ]
    assert (job.result["count"], job.result["advancement_count"]) == (3, 3)


async def test_the_sales_channel_has_columns_where_orders_have_one(orders: Services) -> None:
    channel = {"id": "sc_web", "name": "Web", "description": None}
    await orders.catalog["orders"].update_one({"_id": "order_1"}, {"$set": {"sales_channel": channel}})
    header, third, _, first = (await export(orders))[1].decode().split("\r\n")[:4]
    assert header == f"{HEADER};Sales channel name;Sales channel description"
    assert third.endswith(";kwd;;")
    assert first.endswith(";eur;Web;")


async def test_the_context_is_completed_as_that_of_a_product_export(orders: Services) -> None:
    job: FakeJob[Any] = FakeJob(OrderExport(), {"offset": 1, "order": "display_id", "fields": "id,total"}, orders)
    await job.prepare()
    assert job.context == {
        "list_config": {
            "relations": ["customer", "shipping_address", "sales_channel"],
            "skip": 1,
            "take": 50,
            "order": {"display_id": "ASC"},
            "select": ["id", "total", "created_at"],
        }
    }


@pytest.mark.parametrize(
    ("context", "numbers"),
    [
        ({"order": "display_id"}, [1, 2, 3]),
        ({"offset": 1}, [2, 1]),
        ({"offset": 1, "batch_size": 1}, [2]),
        ({"list_config": {"order": {"created_at": "ASC"}, "skip": 2}}, [3]),
        ({"filterable_fields": {"status": ["completed", "archived"]}}, [3]),
        ({"filterable_fields": {"currency_code": "jpy"}}, [2]),
        ({"filterable_fields": {"id": "order_1"}}, [1]),
        ({"filterable_fields": {"display_id": {"gte": 2}}}, [3, 2]),
        ({"filterable_fields": {"created_at": {"lt": "2025-03-02T00:00:00Z"}}}, [1]),
        ({"filterable_fields": {"email": "eve@example.com"}}, [2]),
    ],
)
async def test_what_is_exported_can_be_chosen(orders: Services, context: dict[str, Json], numbers: list[int]) -> None:
    _, content = await export(orders, {"columns": ["Display_ID"], **context})
    assert content.decode().split() == ["Display_ID", *map(str, numbers)]


async def test_format_columns_and_compression_can_be_chosen(orders: Services) -> None:
    context: dict[str, Json] = {"format": "jsonl", "compression": "gzip", "columns": ["Total", "Order_ID"]}
    job, content = await export(orders, context)
    assert [from_json(line) for line in gzip.decompress(content).splitlines()] == [
        {"Total": 1.056, "Order_ID": "order_3"},
        {"Total": 1056, "Order_ID": "order_2"},
        {"Total": 10.56, "Order_ID": "order_1"},
    ]
    assert job.result["file_key"].endswith(".jsonl.gz")


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"order": "colour"}, "order"),
        ({"list_config": {"order": {"created_at": "up"}}}, "order"),
        ({"list_config": ["skip"]}, "list_config"),
        ({"offset": -1}, "offset"),
        ({"filterable_fields": {"colour": "red"}}, "filterable_fields.colour"),
        ({"columns": ["Colour"]}, "columns"),
        ({"format": "pdf"}, "format"),
    ],
)
async def test_what_cannot_be_chosen_is_refused_with_its_field(orders: Services, context: Any, field: str) -> None:
    with pytest.raises(JobRefused) as refused:
        await FakeJob(OrderExport(), context, orders).prepare()
    assert refused.value.field == field


@pytest.mark.parametrize("name", ["o.csv", "o.xlsx", "o.jsonl", "o.csv.gz"])
async def test_importing_an_export_changes_nothing(orders: Services, name: str) -> None:
    context: dict[str, Json] = {"format": name.split(".")[1]}
    _, content = await export(orders, context | ({"compression": "gzip"} if name.endswith("gz") else {}))
    before = await orders.catalog["orders"].find().to_list(None)
    job = await carried_out(import_job(orders, content, name))
    assert job.result["outcome"] == {"unchanged": 3}
    assert await orders.catalog["orders"].find().to_list(None) == before


async def test_statuses_and_the_address_are_set_on_orders_found_by_their_id(orders: Services) -> None:
    job = await carried_out(
        import_job(
            orders,
            b"Order_ID,Order status,Fulfillment Status,Payment Status,Shipping City,Shipping Address 2\n"
            b"order_1,completed,shipped,refunded,Paris,Flat 3\n"
            b"order_2,,,,Oslo,\n",
        )
    )
    assert job.result["outcome"] == {"updated": 2}
    first, second = await orders.catalog["orders"].find({}, sort=[("_id", 1)], limit=2).to_list(None)
    assert (first["status"], first["fulfillment_status"], first["payment_status"]) == (
        "completed",
        "shipped",
        "refunded",
    )
    assert first["shipping_address"] | {"city": "Paris", "phone": "not exported"} == first["shipping_address"]
    assert first["total"] == 1056
    assert (second["status"], second["shipping_address"]) == ("pending", {"city": "Oslo"})


@pytest.mark.parametrize(
    ("row", "column", "code"),
    [
        ("order_9,completed,", "Order_ID", "unknown_record"),
        ("order_4,completed,", "Order_ID", "unknown_record"),
        (",completed,", None, "missing_key"),
        ("order_1,lost,", "Order status", "bad_choice"),
        ("order_1,completed,99", "Total", "read_only"),
    ],
)
async def test_an_order_that_is_not_there_or_a_total_that_is_another_is_an_error(
    orders: Services, row: str, column: str | None, code: str
) -> None:
    before = await orders.catalog["orders"].find().to_list(None)
    job = await carried_out(import_job(orders, f"Order_ID,Order status,Total\n{row}\n".encode(), on_error="skip"))
    assert job.result["outcome"] == {"refused": 1}
    assert [(error.column, error.code) for error in job.errors] == [(column, code)]
    assert await orders.catalog["orders"].find().to_list(None) == before


async def test_templates_have_the_header_and_of_the_import_an_order_and_what_may_be_set() -> None:
    assert await OrderExport().build_template() == f"{HEADER}\r\n".encode()
    header, example = (await OrderImport().build_template()).decode().split("\r\n")[:2]
    assert header == (
        "Order_ID,Order status,Shipping Address 1,Shipping Address 2,Shipping Country Code,Shipping City,"
        "Shipping Postal Code,Fulfillment Status,Payment Status"
    )
    assert example.startswith("order_01")


class TestOrders(RecordContract):
    import_type, export_type = OrderImport, OrderExport
    content = "Order_ID,Order status,Shipping City\norder_1,completed,Rome\norder_2,pending,Bern\norder_3,,\n"
    wrong = "order_4,lost,Oslo"
    mended = "order_4,archived,Oslo"

    async def furnish(self) -> None:
        example = order(5, _id="order_01JZ0000000000000000000000")
        await self.catalog["orders"].insert_many([order(1), order(2, "jpy"), order(3), order(4), example])


async def test_a_sales_channel_that_is_named_by_its_id_is_looked_up(orders: Services) -> None:
    await orders.catalog["sales_channels"].insert_many(
        [
            {"_id": "sc_web", "name": "Web shop", "description": "All over the web"},
            {"_id": "sc_fair", "name": "Fairs", "deleted_at": datetime.now(UTC)},
        ]
    )
    collection = orders.catalog["orders"]
    await collection.update_one({"_id": "order_1"}, {"$set": {"sales_channel_id": "sc_web"}})
    await collection.update_one({"_id": "order_2"}, {"$set": {"sales_channel_id": "sc_fair"}})
    copy = {"id": "sc_web", "name": "As it was then", "description": None}
    await collection.update_one({"_id": "order_3"}, {"$set": {"sales_channel_id": "sc_web", "sales_channel": copy}})
    before = await collection.find().to_list(None)

    header, third, second, first = (await export(orders))[1].decode().split("\r\n")[:4]

    assert header == f"{HEADER};Sales channel name;Sales channel description"
    assert third.endswith(";As it was then;")
    assert second.endswith(";Fairs;"), "it has been deleted since, and the order was made there all the same"
    assert first.endswith(";Web shop;All over the web")
    job = await carried_out(import_job(orders, (await export(orders))[1]))
    assert job.result["outcome"] == {"unchanged": 3}
    other = b"Order_ID,Sales channel name\norder_1,Fairs\n"
    job = await carried_out(import_job(orders, other, on_error="skip"))
    assert [(error.column, error.code) for error in job.errors] == [("Sales channel name", "read_only")]
    assert await collection.find().to_list(None) == before


async def test_of_an_export_that_is_killed_there_is_no_file_and_the_next_run_makes_it_whole(orders: Services) -> None:
    assert isinstance(orders.files, LocalFiles)
    job, whole = await export(orders)
    for stop in range(1, len(job.runs[-1].calls) + 1):
        there = orders.files.all_keys()
        killed: FakeJob[Any] = FakeJob(OrderExport(), {}, orders)
        await killed.prepare()
        await killed.pre_process()
        with pytest.raises(Crash):
            await killed.process(stop_at=stop)
        assert orders.files.all_keys() == there
        await killed.process()
        assert orders.files.get(killed.result["file_key"]) == whole
        assert (killed.result["count"], killed.result["advancement_count"]) == (3, 3)


async def test_a_relation_that_orders_do_not_have_is_refused(orders: Services) -> None:
    job: FakeJob[Any] = FakeJob(OrderExport(), {"expand": "customer,items.variant,colours"}, orders)
    with pytest.raises(JobRefused, match="no relation 'colours'"):
        await job.prepare()
