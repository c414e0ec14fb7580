"""Records that span several rows, with columns that are only compared, and found by their id alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import pytest

from batchbus_strategies import Json, Services
from batchbus_strategies.records import (
    Column,
    DeclarationError,
    Numbered,
    Part,
    Record,
    RecordExport,
    RecordImport,
    Rows,
    Shown,
)
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.testing import FakeJob, LocalFiles


class Box(Part):
    width: Annotated[int | None, Column("Width")] = None
    height: Annotated[int | None, Column("Height")] = None


class Line(Part):
    title: Annotated[str, Column("Line Title")]
    box: Box = Box()


class Cart(Record, collection="carts", id_prefix="cart_", id_column="Cart"):
    total: Annotated[int | None, Shown("Total")] = None
    created_at: Annotated[datetime | None, Shown("Made")] = None
    coupon: Annotated[str | None, Shown("Coupon", only_with="coupon")] = None
    note: Annotated[str | None, Column("Note")] = None
    lines: Annotated[list[Line], Rows(id_column="Line", id_prefix="line_")]


class CartImport(RecordImport[Cart]):
    batch_type = "cart-import"


class CartExport(RecordExport[Cart]):
    batch_type = "cart-export"


@pytest.fixture
async def carts(services: Services) -> Services:
    made = datetime(2025, 1, 2, tzinfo=UTC)
    lines = [{"id": "l_1", "title": "A", "box": None}, {"id": "l_2", "title": "B", "box": {"width": 1, "depth": 9}}]
    await services.catalog["carts"].insert_one({"_id": "cart_1", "total": 5, "created_at": made, "lines": lines})
    return services


async def carried_out(job: FakeJob[Any]) -> FakeJob[Any]:
    await job.prepare()
    await job.pre_process()
    await job.process()
    return job


async def imported(services: Services, content: str, **context: Json) -> FakeJob[Any]:
    assert isinstance(services.files, LocalFiles)
    key = services.files.put("uploads/c.csv", content.encode())
    return await carried_out(FakeJob(CartImport(), {"fileKey": key, **context}, services))


async def exported(services: Services) -> str:
    job = await carried_out(FakeJob(CartExport(), {}, services))
    assert isinstance(services.files, LocalFiles)
    return services.files.get(job.result["file_key"]).decode()


async def test_importing_an_export_changes_nothing(carts: Services) -> None:
    content = await exported(carts)
    assert content == (
        "Cart,Total,Made,Note,Line,Line Title,Width,Height\r\n"
        "cart_1,5,2025-01-02T00:00:00Z,,l_1,A,,\r\n"
        "cart_1,5,2025-01-02T00:00:00Z,,l_2,B,1,\r\n"
    )
    job = await imported(carts, content)
    assert job.result["outcome"] == {"unchanged": 1}


async def test_a_column_is_there_only_if_a_record_takes_it(carts: Services) -> None:
    await carts.catalog["carts"].update_one({"_id": "cart_1"}, {"$set": {"coupon": "X"}})
    assert (await exported(carts)).startswith("Cart,Total,Made,Coupon,Note,Line,")


@pytest.mark.parametrize(
    ("totals", "wrong"), [(("5", "5.0"), []), (("5", "6"), [3]), (("6", ""), [2]), (("", "5"), [])]
)
async def test_each_row_is_compared_with_the_record(carts: Services, totals: Any, wrong: list[int]) -> None:
    rows = "".join(f"cart_1,{total},{line},C\n" for total, line in zip(totals, ("l_1", "l_2"), strict=True))
    job = await imported(carts, "Cart,Total,Line,Line Title\n" + rows, on_error="skip")
    assert [(error.line, error.column, error.code) for error in job.errors] == [
        (line, "Total", "read_only") for line in wrong
    ]
    assert job.result["outcome"] == ({"refused": 1} if wrong else {"updated": 1})


async def test_a_cart_that_there_is_not_is_never_created(carts: Services) -> None:
    job = await imported(carts, "Cart,Line Title\ncart_9,A\n,B\n", on_error="skip")
    assert [(error.line, error.column, error.code) for error in job.errors] == [
        (2, "Cart", "unknown_record"),
        (3, None, "missing_key"),
    ]
    assert await carts.catalog["carts"].count_documents({}) == 1


async def test_a_field_inside_something_null_of_an_element_can_be_set(carts: Services) -> None:
    job = await imported(carts, "Cart,Line,Width,Height\ncart_1,l_1,3,4\ncart_1,l_2,3,4\n")
    assert job.result["outcome"] == {"updated": 1}
    found = await carts.catalog["carts"].find_one({"_id": "cart_1"})
    assert found is not None
    assert [each["box"] for each in found["lines"]] == [
        {"width": 3, "height": 4},
        {"width": 3, "height": 4, "depth": 9},
    ]


async def test_a_template_leaves_out_what_is_only_compared() -> None:
    header, example = (await CartImport().build_template()).decode().splitlines()
    assert header == "Cart,Note,Line,Line Title,Width,Height"
    assert example.startswith("cart_01JZ")


@pytest.mark.parametrize("marker", [Rows(id_column="Id"), Numbered()])
def test_a_list_has_no_columns_that_are_only_compared(marker: Any) -> None:
    class Item(Part):
        name: Annotated[str | None, Shown("Item <n> Name")] = None

    class Bag(Record, collection="bags", id_column="Bag"):
        items: Annotated[list[Item], marker]

    with pytest.raises(DeclarationError, match=r"Bag\.items\.name is only shown"):
        schema_of(Bag)
