"""Exports of records over several rows: a line for each element, and columns for what there is."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies import JobRefused
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.records.templates import explained
from batchbus_strategies.templates import csv_template
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.goods import Goods, Product, ProductExport, stool


@pytest.fixture
async def shop(goods: Goods) -> Goods:
    product = stool()
    dkk = {"id": "ma_dk", "currency_code": "dkk", "amount": 7550, "region_id": "reg_dk"}
    lost = {"id": "ma_lost", "currency_code": "eur", "amount": 1, "region_id": "reg_lost"}
    product["variants"][1]["prices"] += [dkk, lost]
    product["variants"].append({"id": "v_gone", "title": "Gone", "deleted_at": "2024"})
    await goods.services.catalog["products"].insert_many([product, {"_id": "bare", "handle": "a", "title": "Bare"}])
    return goods


async def test_there_is_a_line_for_each_element_and_one_for_a_record_without(shop: Goods) -> None:
    bare, small, large = await shop.lines_exported()
    assert list(large) == [
        "Product Id",
        "Product Handle",
        "Product Title",
        "Product Tags",
        "Variant Id",
        "Variant Title",
        "Variant SKU",
        "Variant Stock",
        "Option 1 Name",
        "Option 1 Value",
        "Price Denmark [DKK]",
        "Price EUR",
    ]
    assert list(large.values()) == [
        *("prod_stool", "stool", "Stool", "", "v_L", "L", "STOOL-L", "3", "Size", "L", "75.5", "10")
    ]
    assert (small["Product Title"], small["Variant Id"], small["Price Denmark [DKK]"]) == ("Stool", "v_S", "")
    assert [name for name, cell in bare.items() if cell] == ["Product Id", "Product Handle", "Product Title"]


@pytest.mark.parametrize("context", [{}, {"format": "xlsx"}, {"format": "jsonl"}])
async def test_importing_an_export_changes_nothing(shop: Goods, context: Any) -> None:
    before = await shop.all("products")
    content = await shop.exported(**context)
    job = await shop.load(content, name=f"c.{context.get('format', 'csv')}")
    assert [line["op"] for line in shop.lines(job, "PLAN")] == ["unchanged", "unchanged"]
    assert await shop.all("products") == before


async def test_columns_of_elements_can_be_chosen_by_name_or_path(shop: Goods) -> None:
    content = await shop.exported(
        fields=["Product Handle", "variants.title", "Price <Region> [<CUR>]"], order="-Product Handle"
    )
    assert content.decode().splitlines() == [
        "Product Handle,Variant Title,Price Denmark [DKK],Price EUR",
        "stool,S,,10",
        "stool,L,75.5,10",
        "a,,,",
    ]
    with pytest.raises(JobRefused, match="there are Product Id, Product Handle"):
        await FakeJob(ProductExport(), {"fields": ["Variant Colour"]}, shop.services).prepare()


def test_a_template_has_the_columns_of_elements_and_an_example_of_each_family() -> None:
    header, example = csv_template(explained(schema_of(Product))).decode().splitlines()
    assert header == (
        "Product Id,Product Handle,Product Title,Product Tags,Variant Id,Variant Title,Variant SKU,Variant Stock,"
        "Option 1 Name,Option 1 Value,Price EUR"
    )
    assert example.endswith("Size,L,49.50")
