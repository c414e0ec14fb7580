"""What product imports have from records: spellings of columns, complete options, error files, and a column more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import pytest

from batchbus_strategies.product_import import VARIANTS, Product, ProductImport, Variant
from batchbus_strategies.records import Column
from tests.strategies.shop import Shop, table, variant


def places(job: Any) -> list[tuple[int, str | None, str]]:
    return [(error.line, error.column, error.code) for error in job.errors]


def options(**values: str) -> dict[str, str]:
    """The cells of options, by their names."""
    cells: dict[str, str] = {}
    for n, (name, value) in enumerate(values.items(), 1):
        cells |= {f"Option {n} Name": name, f"Option {n} Value": value}
    return cells


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([options(Size="L", Colour="red"), options(Colour="red", Size="L")], "duplicate_options"),
        ([options(Size="L", Colour="red"), options(Size="M")], "missing_option"),
        ([options(Size="L", Colour="red"), options(Size="M", Colour="")], "missing_option"),
    ],
)
async def test_variants_of_a_new_product_differ_in_complete_options(
    shop: Shop, rows: list[Mapping[str, str]], code: str
) -> None:
    _, job = await shop.refused(table(*(variant("mug", str(n)) | dict(row) for n, row in enumerate(rows))))
    assert [(error.line, error.code) for error in job.errors] == [(3, code)]


@pytest.mark.parametrize("column", ["product title", "PRODUCT-TITLE", "ProductTitle", "Product_Title"])
async def test_columns_are_known_however_they_are_spelled(shop: Shop, column: str) -> None:
    row = variant("mug", "A")
    row[column] = row.pop("Product Title")
    await shop.load(table(row))
    assert (await shop.product("mug"))["title"] == "Mug"


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
    variants: Annotated[Sequence[OurVariant], VARIANTS]


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
