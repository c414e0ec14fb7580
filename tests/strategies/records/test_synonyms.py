"""A file may call its columns what it likes: errors name the file's columns, and are about the record's fields."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies import StrategyError
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.customers import Customers, DeletingImport
from tests.strategies.records.goods import Goods, ProductImport, stool, table


async def refused(customers: Customers, content: str, **context: Any) -> FakeJob[Any]:
    job = customers.job(content, **context)
    with pytest.raises(StrategyError):
        await job.pre_process()
    return job


async def keeps(customers: Customers, row: dict[str, str], columns: dict[str, str]) -> list[tuple[str | None, str]]:
    """The columns and values that `keep` leaves out of an update."""
    await customers.run("Email\nada@example.com\n")
    content = table({"E-mail": "ada@example.com", "First Name": "Ada", **row})
    job = await customers.run(content, on_error="keep", columns={**columns})
    (found,) = await customers.all()
    assert found["first_name"] == "Ada"
    return [(error["column"], error["value"]) for error in customers.lines(job, "PLAN")[-1]["left_out"]]


async def test_keep_leaves_out_a_cell_whose_column_has_another_name_in_the_file(customers: Customers) -> None:
    left_out = await keeps(customers, {"News?": "perhaps"}, {"News?": "Newsletter"})
    assert left_out == [("News?", "perhaps")]


@pytest.mark.parametrize(
    ("row", "columns"),
    [
        ({"E-mail": "x" * 101}, {}),
        ({"Mail": "x" * 101}, {"Mail": "Email"}),
    ],
    ids=["synonym", "mapping"],
)
async def test_keep_never_leaves_out_a_key_whatever_the_file_calls_it(
    customers: Customers, row: dict[str, str], columns: dict[str, str]
) -> None:
    await customers.services.catalog["customers"].insert_one({"_id": "cus_1", "email": "x" * 101})
    job = customers.job(table({**row, "First Name": "Ada"}), on_error="keep", columns={**columns})
    await job.pre_process()
    (line,) = customers.lines(job, "PLAN")
    assert (line["op"], [error["column"] for error in line["errors"]]) == ("error", [next(iter(row))])


async def test_keep_never_takes_a_wrong_delete_for_none(customers: Customers) -> None:
    await customers.run("Email\nada@example.com\n")
    content = "Email,First Name,_delete\nada@example.com,Ada,perhaps\n"
    job = customers.job(content, strategy=DeletingImport(), on_error="keep")
    await job.pre_process()
    assert [line["op"] for line in customers.lines(job, "PLAN")] == ["error"]


async def test_keep_clears_no_value_and_no_list_for_a_cell_that_cannot_be_used(customers: Customers) -> None:
    head = "Email,First Name,Discount,Phone 1,Phone 1 Kind,Phone 2,Phone 2 Kind\n"
    await customers.run(head + "ada@example.com,Ada,1,11,home,22,work\n")
    job = await customers.run(head + "ada@example.com,Eda,?,11,home,,work\n", on_error="skip")
    assert job.result["operations"]["error"] == 1
    await customers.run("Email,First Name,Discount\nada@example.com,Eda,?\n", on_error="keep")
    (found,) = await customers.all()
    assert (found["first_name"], found["discount"], len(found["phones"])) == ("Eda", 100, 2)


async def test_a_new_record_that_has_a_wrong_cell_is_not_told_that_it_has_none(customers: Customers) -> None:
    content = "Handle of it,What,Variant Title,Variant SKU\nlamp,,One,1\n"
    columns = {"Handle of it": "Product Handle", "What": "Product Title"}
    job = await refused(customers, content, strategy=ProductImport(), columns=columns)
    assert [(error.column, error.code) for error in job.errors] == [("Product Title", "missing_value")]


async def test_keep_leaves_out_the_cell_of_an_element_whose_column_the_file_maps(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    content = table({"Product_Handle": "stool", "Code": "STOOL-L", "Left": "some", "Product_Title": "New"})
    job = await goods.load(content, columns={"Code": "Variant SKU", "Left": "Variant Stock"}, on_error="keep")
    assert [error["column"] for error in goods.lines(job, "PLAN")[0]["left_out"]] == ["Left"]
    found = await goods.product()
    assert (found["title"], [each["stock"] for each in found["variants"]]) == ("New", [3, 3])


async def test_rows_that_name_no_record_stand_in_the_order_of_the_file(customers: Customers, goods: Goods) -> None:
    content = "Email,First Name\na@example.com,A\n,B\nc@example.com,C\n,D\n"
    job = customers.job(content, on_error="skip")
    await job.pre_process()
    plan = customers.lines(job, "PLAN")
    assert [(line["line"], line["op"]) for line in plan] == [(2, "create"), (3, "error"), (4, "create"), (5, "error")]

    rows = [{"Product Handle": handle, "Product Title": "A", "Variant Title": "One"} for handle in ("a", "", "b")]
    planned = await goods.planned(table(*rows), on_error="skip")
    assert [line["line"] for line in goods.lines(planned, "PLAN")] == [2, 3, 4]
