"""The sample files: each can be imported, and leaves what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bson import json_util

from tests.samples.make_products import CATALOG, product_lines
from tests.strategies.shop import CHANNELS, THEN, Shop, stool, timeless

SAMPLES = Path(__file__).parent.parent / "samples"


async def furnish_with(shop: Shop, catalog: dict[str, list[dict[str, Any]]]) -> None:
    for collection, documents in catalog.items():
        await shop.catalog[collection].delete_many({})
        await shop.catalog[collection].insert_many([dict(document) for document in documents])


async def test_five_rows_make_two_products_and_change_a_third(shop: Shop) -> None:
    """The structure of Medusa's own sample, and so the numbers that a real server gave for it."""
    await shop.catalog["products"].insert_one(stool(sales_channels=CHANNELS[:1]))
    job = await shop.load((SAMPLES / "five_rows.csv").read_bytes())

    assert job.result["count"] == job.result["advancement_count"] == 8
    assert job.result["operations"] == {
        "PRODUCT_CREATE": 2,
        "PRODUCT_UPDATE": 1,
        "VARIANT_CREATE": 4,
        "VARIANT_UPDATE": 1,
    }
    assert job.result["stat_descriptors"] == [
        {
            "key": "product-import-count",
            "name": "Products/variants to import",
            "message": "There will be 2 products created (1  updated).\n"
            "             4 variants will be created and 1 updated",
        }
    ]
    pillow, sheet, changed = await shop.products()
    assert sheet["description"] == r"Washed linen, soft from the first night.\nNot ironed."
    assert (sheet["thumbnail"], sheet["tags"][0]["value"], sheet["collection"]["handle"]) == (
        "sheet.png",
        "2024_a",
        "spring",
    )
    assert (pillow["tags"], pillow["type"], pillow["images"][0]["url"]) == ([], None, "sheet.png")
    assert [(price["region_id"], price["currency_code"], price["amount"]) for price in prices(sheet, 0)] == [
        ("reg_eu", "eur", 4990),
        ("reg_dk_lower", "dkk", 37250),
        (None, "usd", 5500),
    ]
    assert [option["title"] for option in sheet["options"]] == ["colour", "size"]
    assert [value["value"] for value in sheet["variants"][0]["options"]] == ["sand", "single"]

    assert (changed["_id"], changed["status"], changed["type"]["value"]) == ("prod_stool", "draft", "seat")
    assert (changed["collection_id"], changed["thumbnail"]) == ("pcol_autumn", "stool.png")
    assert timeless(changed["sales_channels"], ids=()) == CHANNELS[:1], "there is no such column in the file"
    assert changed["created_at"] == THEN < changed["updated_at"]
    assert [(each["title"], each["sku"], each["variant_rank"]) for each in changed["variants"]] == [
        ("Large and wide", "STOOL-W", 0),
        ("One", "STOOL-S", 1),
        ("One", "STOOL-M", 2),
    ]
    assert changed["variants"][0]["id"] == "variant_stool_l"
    assert [each["options"][0]["value"] for each in changed["variants"]] == ["Wide", "Small", "Medium"]
    assert {each["options"][0]["option_id"] for each in changed["variants"]} == {"opt_size"}
    assert [[(price["region_id"], price["amount"]) for price in prices(changed, n)] for n in range(3)] == [
        [],
        [("reg_dk", 9950)],
        [(None, 12000)],
    ]


def prices(product: dict[str, Any], variant: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product["variants"][variant]["prices"]
    return found


async def test_the_sample_of_the_demo_comes_back_out_unchanged(shop: Shop) -> None:
    await furnish_with(shop, json_util.loads((SAMPLES / "catalog.json").read_text()))
    job = await shop.load((SAMPLES / "products.csv").read_bytes())

    assert job.errors == []
    assert job.result["operations"] == {
        "PRODUCT_CREATE": 5,
        "PRODUCT_UPDATE": 1,
        "VARIANT_CREATE": 11,
        "VARIANT_UPDATE": 1,
    }
    export = await shop.export()
    again = await shop.plan(shop.files.get(export.result["file_key"]))
    assert again.result["count"] == 0


async def test_the_same_seed_makes_the_same_file_and_another_seed_another() -> None:
    assert list(product_lines(50, seed=1)) == list(product_lines(50, seed=1))
    assert list(product_lines(50, seed=1)) != list(product_lines(50, seed=2))


async def test_a_made_file_comes_back_out_unchanged(shop: Shop) -> None:
    await furnish_with(shop, CATALOG)
    job = await shop.load("".join(product_lines(1000)).encode())

    assert job.result["operations"]["VARIANT_CREATE"] == 1000
    rows = shop.exported(await shop.export())
    assert len(rows) == 1000
    assert len({row["Variant SKU"] for row in rows}) == 1000
    export = await shop.export()
    again = await shop.plan(shop.files.get(export.result["file_key"]))
    assert again.result["count"] == 0
