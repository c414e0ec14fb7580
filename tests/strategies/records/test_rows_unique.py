"""Values of elements that are unique over all records, whoever has written them, in small and in large collections."""

from __future__ import annotations

from typing import Any

import pytest

from tests.strategies.records.goods import Goods, stool, table

SIZES = {"Option_1_Name": "Size", "Option_1_Value": "S"}


def _row(handle: str, sku: str, **cells: str) -> dict[str, str]:
    return {"Product_Handle": handle, "Product_Title": handle, "Variant_Title": sku, "Variant_SKU": sku, **cells}


@pytest.fixture(params=["small", "large", "large, with indexes"])
async def shop(goods: Goods, request: pytest.FixtureRequest) -> Goods:
    """In a large one, an import asks for what its file names; with indexes, for values of elements too."""
    products = goods.services.catalog["products"]
    await products.insert_one(stool())
    if request.param != "small":
        await products.insert_many([{"_id": f"f_{n}", "handle": f"filler-{n}"} for n in range(1100)])
    if request.param == "large, with indexes":
        await goods.load(table(_row("first", "FIRST")))
    return goods


async def test_a_value_of_an_element_is_taken_though_its_record_lacks_the_field_that_repeats_it(shop: Goods) -> None:
    job = await shop.load(table(_row("new", "STOOL-L"), _row("other", "FREE")), on_error="skip")
    (error,) = job.kept.errors
    assert (error.line, error.column, error.code, error.value) == (2, "Variant SKU", "value_taken", "STOOL-L")
    assert "prod_stool" in error.message
    assert (await shop.product("other"))["skus"] == ["FREE"]


@pytest.mark.parametrize("there", [" BLANK", "BLANK\u00a0 "], ids=["before", "behind"])
async def test_a_value_that_the_catalogue_has_with_blanks_around_it_is_taken(shop: Goods, there: str) -> None:
    typed = stool(
        _id="prod_typed", handle="typed", skus=[there], variants=[{"id": "v_typed", "title": "T", "sku": there}]
    )
    await shop.services.catalog["products"].insert_one(typed)
    job = await shop.load(table(_row("new", "BLANK"), _row("other", "FREE")), on_error="skip")
    (error,) = job.kept.errors
    assert (error.line, error.column, error.code, error.value) == (2, "Variant SKU", "value_taken", "BLANK")
    assert "prod_typed" in error.message

    job = await shop.load(table({"Product_Handle": "typed", "Variant_Id": "v_typed", "Variant_SKU": "BLANK"}))
    assert job.result["outcome"] == {"unchanged": 1}, "it has its own value, of which blanks are no edit"


async def test_a_value_of_a_deleted_element_is_free_though_the_field_repeats_it_still(shop: Goods) -> None:
    gone = stool(_id="prod_gone", handle="gone", skus=["GONE", "KEPT"])
    gone["variants"] = [
        {"id": "v_gone", "title": "Gone", "sku": "GONE", "deleted_at": "2024"},
        {"id": "v_kept", "title": "Kept", "sku": "KEPT"},
    ]
    await shop.services.catalog["products"].insert_one(gone)
    job = await shop.load(table(_row("new", "GONE")))
    assert job.result["outcome"] == {"created": 1}
    assert (await shop.product("gone"))["skus"] == ["KEPT"]
    assert (await shop.product("new"))["skus"] == ["GONE"]


async def test_a_value_that_is_taken_in_the_meantime_is_a_conflict(shop: Goods) -> None:
    job = await shop.planned(
        table(_row("new", "N"), {"Product_Handle": "stool", "Variant_Id": "v_L", "Variant_SKU": "M"} | {}),
        on_error="skip",
    )
    await shop.load(table(_row("theirs", "N"), _row("theirs-2", "M")))
    await job.process()
    assert job.result["outcome"] == {"conflict": 2}
    assert all("SKU of its variants, has been taken" in e.message for e in job.kept.errors)
    assert (await shop.product("stool"))["variants"][1]["sku"] == "STOOL-L"


async def test_elements_of_one_record_may_exchange_their_values(shop: Goods) -> None:
    row = {"Product_Handle": "stool"}
    content = table(
        row | {"Variant_Id": "v_S", "Variant_SKU": "STOOL-L"}, row | {"Variant_Id": "v_L", "Variant_SKU": "STOOL-S"}
    )
    job = await shop.load(content)
    assert job.result["outcome"] == {"updated": 1}
    assert [each["sku"] for each in (await shop.product())["variants"]] == ["STOOL-L", "STOOL-S"]


@pytest.mark.parametrize(
    ("rows", "line", "code"),
    [
        ([_row("a", "X"), _row("b", "X")], 3, "duplicate_value"),
        ([_row("a", "X") | SIZES, _row("a", "X") | {**SIZES, "Option_1_Value": "L"}], 3, "duplicate_value"),
        ([{"Product_Handle": "stool", "Variant_Id": "v_S", "Variant_SKU": "STOOL-L"}], 2, "value_taken"),
    ],
)
async def test_a_value_is_unique_in_the_file_and_in_the_record(
    goods: Goods, rows: list[Any], line: int, code: str
) -> None:
    await goods.services.catalog["products"].insert_one(stool())
    job = await goods.load(table(*rows), on_error="skip")
    assert [(error.line, error.column, error.code) for error in job.kept.errors] == [(line, "Variant SKU", code)]


async def test_a_value_that_is_cleared_is_null_and_leaves_the_field_that_repeats_it(goods: Goods) -> None:
    content = table(_row("a", "X"))
    await goods.load(content)
    (element,) = (await goods.product("a"))["variants"]
    await goods.load(f"Product Handle,Variant Id,Variant SKU\na,{element['id']},\n")
    found = await goods.product("a")
    assert found["variants"][0]["sku"] is None
    assert "skus" not in found
