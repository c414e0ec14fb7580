"""The files of `tests/samples/reported`: what each gets, from the product import and from a record with the same columns.

Each stands for a kind of fault, and beside its test are others of the same kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson.decimal128 import Decimal128

from batchbus_strategies import StrategyError
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.goods import Goods
from tests.strategies.shop import Shop, stool, table, variant

REPORTED = Path(__file__).parent.parent / "samples" / "reported"


def reported(name: str) -> bytes:
    return (REPORTED / f"{name}.csv").read_bytes()


@pytest.fixture
async def goods(shop: Shop) -> Goods:
    """Goods are what a record says of products: the shop's collections and regions serve for both."""
    return Goods(shop.services, shop.files)


async def refused_goods(goods: Goods, content: bytes) -> tuple[str, FakeJob[Any]]:
    job = goods.job(content, strategy=goods.importer())
    with pytest.raises(StrategyError) as refused:
        await job.pre_process()
    return str(refused.value), job


def error_file(goods: Goods, job: FakeJob[Any]) -> list[str]:
    """Its lines without the column `_errors`."""
    lines = goods.files.get(job.result["files"]["ERRORS"]).decode().splitlines()
    assert lines[0].startswith("_errors,")
    return [line.partition(lines[0].removeprefix("_errors"))[0] for line in lines[1:]]


# -- blanks around what things are found by ----------------------------------------------------------------------------


async def test_a_blank_behind_a_handle_makes_no_second_product(shop: Shop, goods: Goods) -> None:
    job = await shop.load(reported("handle-trailing-space"))
    assert job.result["operations"]["PRODUCT_CREATE"] == 1
    (mug,) = await shop.products()
    assert (mug["handle"], [each["sku"] for each in mug["variants"]]) == ("mug-x1", ["x1-S", "x1-L"])

    await shop.catalog["products"].delete_many({})
    message, planned = await refused_goods(goods, reported("handle-trailing-space"))
    assert "line 2 has the same: no values at all" in message, "one product, whose variants nothing tells apart"
    assert [error.line for error in planned.errors] == [3]


@pytest.mark.parametrize(
    "blank", [" ", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}"], ids=["blank", "no-break", "zero-width"]
)
@pytest.mark.parametrize("column", ["Variant SKU", "Variant Barcode", "Option 1 Name", "Product Type"])
async def test_no_blank_makes_a_twin_of_what_is_unique(shop: Shop, column: str, blank: str) -> None:
    first = variant("a", **{"Option_1_Name": "Size", "Option_1_Value": "S", column: "One"})
    second = variant("a", **{"Option_1_Name": "Size", "Option_1_Value": "L", column: f"{blank}One{blank}"})
    if column in ("Variant SKU", "Variant Barcode"):
        message, _ = await shop.refused(table(first, second))
        assert "line 2 has it already" in message
        return
    other = {**second, "Product Handle": "b"} if column == "Product Type" else second
    await shop.load(table(first, other))
    assert await shop.catalog["product_types"].count_documents({}) == (column == "Product Type")
    assert [len(each["options"]) for each in await shop.products()] == [1, 1] if other is not second else [1]


async def test_what_is_there_with_blanks_around_it_can_be_exported_and_imported_again(shop: Shop) -> None:
    product = stool(handle="stool ", options=[{"id": "opt_size", "title": "Size "}])
    product["variants"][0]["sku"] = " STOOL-L"
    await shop.catalog["products"].insert_one(product | {"skus": [" STOOL-L"]})
    again = await shop.plan(shop.files.get((await shop.export()).result["file_key"]))
    assert (again.errors, again.result["count"]) == ([], 0)


# -- what tells the variants of a product apart ------------------------------------------------------------------------


async def test_two_variants_with_the_same_options_are_refused_at_the_second(shop: Shop, goods: Goods) -> None:
    message, job = await shop.refused(reported("same-options-twice"))
    assert "line 2 has the same options: Size S, Colour red" in message
    assert [(error.line, error.code) for error in job.errors] == [(3, "duplicate_options")]

    message, job = await refused_goods(goods, reported("same-options-twice"))
    assert "line 2 has the same: Size S, Colour red" in message
    assert [error.line for error in job.errors] == [3]
    assert len(error_file(goods, job)) == 2, "a product goes whole or not at all"


async def test_a_variant_that_lacks_an_option_is_refused(shop: Shop, goods: Goods) -> None:
    message, job = await shop.refused(reported("variant-lacks-an-option"))
    assert "there is no value for the option Colour" in message
    assert [error.line for error in job.errors] == [3]

    message, job = await refused_goods(goods, reported("variant-lacks-an-option"))
    assert "there is no value for Colour" in message
    assert [error.line for error in job.errors] == [3]


async def test_the_same_new_variant_without_a_sku_is_not_added_twice(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = variant("stool", **{"Product Id": "prod_stool", "Option 1 Name": "Size", "Option 1 Value": "M"})
    await shop.load(table(row))
    message, _ = await shop.refused(table(row))
    assert "has the same options: Size M" in message
    assert len((await shop.product("stool"))["variants"]) == 2


# -- columns of prices -------------------------------------------------------------------------------------------------


async def test_three_capitals_that_are_no_currency_are_no_column(shop: Shop, goods: Goods) -> None:
    content = reported("currency-that-is-none")
    message, job = await shop.refused(content)
    assert "RRP is neither a currency of ISO 4217 nor the name of a region" in message
    assert 'UDS is neither a currency of ISO 4217 nor the name of a region; did you mean "Price USD"?' in message
    assert [error.column for error in job.errors] == ["Price RRP", "Price UDS"]


async def test_a_currency_in_small_letters_gets_a_hint(shop: Shop) -> None:
    message, _ = await shop.refused(table(variant("a", **{"Price eur": "1"})))
    assert 'did you mean "Price EUR"?' in message


async def test_a_region_may_have_a_name_of_three_capitals(shop: Shop) -> None:
    await shop.catalog["regions"].insert_one({"_id": "reg_us", "name": "USA", "currency_code": "usd"})
    await shop.load(reported("region-called-like-a-currency"))
    (price,) = (await shop.product("a-x1"))["variants"][0]["prices"]
    assert (price["region_id"], price["currency_code"], price["amount"]) == ("reg_us", "usd", 1000)


@pytest.mark.parametrize(
    "amount", [3_000_000_000.0, Decimal128("3000000000"), Decimal128("3E+9")], ids=["double", "decimal", "exponent"]
)
async def test_an_amount_is_exported_whatever_kind_of_number_it_is(shop: Shop, goods: Goods, amount: Any) -> None:
    product = stool()
    product["variants"][0]["prices"] = [{"id": "ma_1", "currency_code": "eur", "amount": amount, "region_id": None}]
    await shop.catalog["products"].insert_one(product)
    (row,) = shop.exported(await shop.export())
    (line,) = await goods.lines_exported()
    assert row["Price EUR"] == line["Price EUR"] == "30000000"


# -- encodings ---------------------------------------------------------------------------------------------------------


async def test_windows_1251_is_read_right_and_the_plan_says_so(shop: Shop, goods: Goods) -> None:
    await shop.load(reported("windows-1251"))
    mug = await shop.product("mug-x1")
    assert (mug["title"], mug["variants"][0]["title"]) == ("Кружка", "Большая")

    await shop.catalog["products"].delete_many({})
    job = await goods.planned(reported("windows-1251"))
    assert (job.result["table"]["encoding"], job.result["table"]["delimiter"]) == ("cp1251", ",")
    assert goods.lines(job, "PLAN")[0]["document"]["title"] == "Кружка"


async def test_two_encodings_in_one_file_are_refused_with_the_line(shop: Shop, goods: Goods) -> None:
    for message, _ in (
        await shop.refused(reported("two-encodings-in-one-file")),
        await refused_goods(goods, reported("two-encodings-in-one-file")),
    ):
        assert message.startswith("Line 2: the byte 0xE9, the file's byte 64, is not text in the encoding utf-8")


# -- rows that are none ------------------------------------------------------------------------------------------------


async def test_an_empty_row_in_front_of_the_header_is_passed_over(shop: Shop, goods: Goods) -> None:
    await shop.load(reported("empty-first-row"))
    assert [product["handle"] for product in await shop.products()] == ["a-x1"]
    await shop.catalog["products"].delete_many({})
    job = await goods.load(reported("empty-first-row"))
    assert (job.result["table"]["header_line"], goods.lines(job, "PLAN")[0]["line"]) == (2, 3)


async def test_an_empty_row_in_front_of_the_header_of_a_large_file_is_passed_over(goods: Goods) -> None:
    rows = b"".join(b"a-%d,A,One,x-%d\n" % (number, number) for number in range(5000))
    assert len(rows) > 64 * 1024
    head, _, _ = reported("empty-first-row").partition(b"a-x1")
    job = await goods.planned(head + rows)
    assert job.result["operations"]["create"] == 5000


async def test_the_header_again_in_the_middle_is_passed_over(shop: Shop, goods: Goods) -> None:
    await shop.load(reported("header-again-in-the-middle"))
    assert [(product["handle"], product["title"]) for product in await shop.products()] == [
        ("a-x1", "A"),
        ("b-x1", "B"),
    ]
    await shop.catalog["products"].delete_many({})
    job = await goods.planned(reported("header-again-in-the-middle"))
    assert [line["key"] for line in goods.lines(job, "PLAN")] == [["a-x1"], ["b-x1"]]


async def test_an_image_twice_is_one_image(shop: Shop) -> None:
    await shop.load(reported("image-twice"))
    assert [image["url"] for image in (await shop.product("a-x1"))["images"]] == ["a.png"]


# -- what other services leave in the catalogue ------------------------------------------------------------------------


@pytest.mark.parametrize("catalogue", ["small", "large"])
@pytest.mark.parametrize("key", ["sku", "barcode"])
async def test_a_key_is_taken_though_its_product_lacks_the_array_that_repeats_it(
    shop: Shop, goods: Goods, catalogue: str, key: str
) -> None:
    if catalogue == "large":
        await shop.fill_catalog()
    other = stool(_id="prod_other", handle="other")
    other["variants"][0][key] = "TAKEN"
    del other["skus"]
    await shop.catalog["products"].insert_one(other)
    content = table(variant("new", **{f"Variant {'SKU' if key == 'sku' else 'Barcode'}": "TAKEN"}))
    message, _ = await shop.refused(content)
    assert "prod_other" in message
    if key == "sku":
        assert "prod_other" in (await refused_goods(goods, content))[0]


async def test_a_product_without_variants_has_a_row_in_an_export(shop: Shop, goods: Goods) -> None:
    await shop.catalog["products"].insert_one(stool(variants=[]))
    job = await shop.export()
    (row,) = shop.exported(job)
    assert (row["Product Handle"], row["Variant Id"], job.result["count"]) == ("stool", "", 1)
    (line,) = await goods.lines_exported()
    assert (line["Product Handle"], line["Variant Id"]) == ("stool", "")
