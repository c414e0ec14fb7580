"""Product files of the kinds that went wrong in similar products: each is right, or refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pytest

from batchbus_strategies.product_import import VARIANTS, Product, ProductImport, Variant
from batchbus_strategies.records import Column
from tests.strategies.shop import Shop, stool, table, variant


def places(job: Any) -> list[tuple[int, str | None, str]]:
    return [(error.line, error.column, error.code) for error in job.errors]


def options(**values: str) -> dict[str, str]:
    """The cells of options, by their names."""
    cells: dict[str, str] = {}
    for n, (name, value) in enumerate(values.items(), 1):
        cells |= {f"Option {n} Name": name, f"Option {n} Value": value}
    return cells


@pytest.mark.parametrize("twin", ["mug ", "\u00a0mug", "mug\u200b"])
async def test_blanks_around_a_handle_make_no_twin(shop: Shop, twin: str) -> None:
    _, job = await shop.refused(table(variant("mug", "A"), variant(twin, "B", Variant_Title="Two")))
    assert places(job) == [(3, "Product Handle", "duplicate_handle")]
    await shop.load(table(variant("mug", "A")))
    _, job = await shop.refused(table(variant(twin, "C")))
    assert places(job) == [(2, "Product Handle", "handle_taken")]


@pytest.mark.parametrize("twin", ["A ", "\u00a0A", "A\u200b"])
async def test_blanks_around_a_sku_do_not_get_past_uniqueness(shop: Shop, twin: str) -> None:
    _, job = await shop.refused(table(variant("mug", "A"), variant("cup", twin)))
    assert places(job) == [(3, "Variant SKU", "duplicate_sku")]


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([options(Size="L", Colour="red"), options(Colour="red", Size="L")], "duplicate_combination"),
        ([options(Size="L", Colour="red"), options(Size="M")], "missing_value"),
        ([options(Size="L", Colour="red"), options(Size="M", Colour="")], "missing_value"),
    ],
)
async def test_variants_of_a_new_product_differ_in_complete_options(
    shop: Shop, rows: list[Mapping[str, str]], code: str
) -> None:
    _, job = await shop.refused(table(*(variant("mug", str(n)) | dict(row) for n, row in enumerate(rows))))
    assert [(error.line, error.code) for error in job.errors] == [(3, code)]


@pytest.mark.parametrize(
    ("column", "code", "hint"),
    [
        ("Price RRP", "unknown_column", "there is neither a currency nor a region RRP"),
        ("Price UDS", "unknown_column", "did you mean USD?"),
        ("Price eur", "unknown_region", "did you mean Price EUR?"),
    ],
)
async def test_a_code_that_is_no_currency_is_no_price(shop: Shop, column: str, code: str, hint: str) -> None:
    message, job = await shop.refused(table(variant("mug", "A") | {column: "1"}))
    assert hint in message
    assert places(job) == [(1, column, code)]


async def test_a_region_that_is_called_like_a_currency_has_its_column(shop: Shop) -> None:
    await shop.catalog["regions"].insert_one({"_id": "reg_usa", "name": "USA", "currency_code": "usd"})
    await shop.load(table(variant("mug", "A") | {"Price USA": "12.50"}))
    (price,) = (await shop.product("mug"))["variants"][0]["prices"]
    assert (price["region_id"], price["currency_code"], price["amount"]) == ("reg_usa", "usd", 1250)


async def test_an_image_twice_is_one(shop: Shop) -> None:
    await shop.load(table(variant("mug", "A") | {"Image 1 Url": "a.png", "Image 2 Url": "a.png"}))
    assert [image["url"] for image in (await shop.product("mug"))["images"]] == ["a.png"]


@pytest.mark.parametrize("column", ["product title", "PRODUCT-TITLE", "ProductTitle", "Product_Title"])
async def test_columns_are_known_however_they_are_spelled(shop: Shop, column: str) -> None:
    row = variant("mug", "A")
    row[column] = row.pop("Product Title")
    await shop.load(table(row))
    assert (await shop.product("mug"))["title"] == "Mug"


async def test_a_sku_that_no_array_repeats_is_taken_in_a_large_catalogue_too(shop: Shop) -> None:
    await shop.fill_catalog()
    theirs = stool()
    del theirs["skus"]
    await shop.catalog["products"].insert_one(theirs)
    _, job = await shop.refused(table(variant("lamp", "STOOL-L")))
    assert places(job) == [(2, "Variant SKU", "sku_taken")]


async def test_what_was_left_out_can_be_mended_and_sent_again(shop: Shop) -> None:
    rows = (variant("a", "A-1", Price_USD="1"), variant("a", "A-2", Price_USD="ten"), variant("b", "B-1"))
    job = await shop.load(table(*rows), on_error="skip")
    assert job.result["outcome"] == {"created": 2}
    errors = shop.files.get(job.result["files"]["ERRORS"]).decode().splitlines()
    assert len(errors) == 2 and errors[0].startswith("_errors,Product Handle")
    assert "A-2" in errors[1] and "not an amount" in errors[1]


class OurVariant(Variant):
    shelf: Annotated[str | None, Column("Variant Shelf")] = None


class OurProduct(Product):
    care: Annotated[str | None, Column("Product Care")] = None
    variants: Annotated[list[OurVariant], VARIANTS]


class OurProductImport(ProductImport):
    record = OurProduct


async def test_a_column_more_is_a_field_more(shop: Shop) -> None:
    content = table(variant("mug", "A", Product_Care="wash", Variant_Shelf="3") | options(Size="L"))
    job = shop.job(content, strategy=OurProductImport())
    await job.prepare()
    await job.pre_process()
    await job.process()
    product = await shop.product("mug")
    assert (product["care"], product["variants"][0]["shelf"]) == ("wash", "3")
    _, refused = await shop.refused(content)
    assert {error.code for error in refused.errors} == {"unknown_column"}
