"""What an import does to the catalogue, and what its plan says beforehand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchbus_strategies import Actor, Draft, FileMissing, JobRefused, StrategyError
from batchbus_strategies.product_import import ProductImport
from batchbus_strategies.testing import FakeJob
from tests.strategies.shop import Shop, price, stool, table, timeless, variant

# -- the plan ----------------------------------------------------------------------------------------------------------


async def test_the_plan_says_what_will_be_created_and_updated(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    job = await shop.plan(
        table(
            variant("lamp", "LAMP-1"),
            variant("lamp", "LAMP-2"),
            variant("bowl", "BOWL-1"),
            variant("stool", "STOOL-L", Product_Id="prod_stool", Variant_Id="variant_stool_l", Variant_Title="Big"),
            variant("stool", "STOOL-S", Product_Id="prod_stool", Variant_Title="Small"),
        )
    )
    assert job.result["operations"] == {
        "PRODUCT_CREATE": 2,
        "PRODUCT_UPDATE": 0,
        "VARIANT_CREATE": 4,
        "VARIANT_UPDATE": 1,
    }
    assert job.result["count"] == 7
    assert job.result["advancement_count"] == 0
    assert job.result["stat_descriptors"] == [
        {
            "key": "product-import-count",
            "name": "Products/variants to import",
            "message": "There will be 2 products created (0  updated).\n"
            "             4 variants will be created and 1 updated",
        }
    ]


async def test_the_plan_can_be_read_line_by_line(shop: Shop) -> None:
    job = await shop.plan(table(variant("lamp", "LAMP-1", Product_Type="Light"), variant("bowl", "BOWL-1")))

    lines = [json.loads(line) for line in shop.files.get(job.result["files"]["PLAN"]).splitlines()]

    assert [line["op"] for line in lines] == ["type", "create", "create"]
    assert [line["line"] for line in lines[1:]] == [2, 3]


async def test_a_plan_is_applied_as_it_was_shown_even_if_the_file_is_gone(shop: Shop) -> None:
    job = await shop.plan(table(variant("lamp", "LAMP-1")))
    await shop.files.delete(job.context["fileKey"])
    await job.process()
    assert [product["handle"] for product in await shop.products()] == ["lamp"]


async def test_a_plan_that_is_gone_fails_the_job(shop: Shop) -> None:
    job = await shop.plan(table(variant("lamp", "LAMP-1")))
    await shop.files.delete(job.result["files"]["PLAN"])
    with pytest.raises(FileMissing):
        await job.process()


async def test_every_run_writes_a_plan_of_its_own(shop: Shop) -> None:
    job = await shop.plan(table(variant("lamp", "LAMP-1")))
    first = job.result["files"]["PLAN"]
    await job.pre_process()
    assert job.result["files"]["PLAN"] != first


async def test_every_operation_is_counted_as_it_is_done(shop: Shop) -> None:
    job = await shop.load(table(variant("lamp", "LAMP-1"), variant("lamp", "LAMP-2"), variant("bowl", "BOWL-1")))
    assert job.result["count"] == job.result["advancement_count"] == 5


# -- new products ------------------------------------------------------------------------------------------------------


async def test_a_new_product_has_all_that_its_first_row_says(shop: Shop) -> None:
    await shop.load(
        table(
            {
                "Product Handle": "oak-lamp",
                "Product Title": "Oak lamp",
                "Product Subtitle": "Warm light",
                "Product Description": 'Oak, "oiled".\nMade here.',
                "Product Status": "Published",
                "Product Weight": "1200",
                "Product Height": "30.5",
                "Product HS Code": "00940",
                "Product Origin Country": "PT",
                "Product Material": "oak",
                "Product Collection Handle": "spring",
                "Product Type": "Light",
                "Product Tags": "oak, warm,oak",
                "Product Discountable": "false",
                "Product External Id": "42",
                "Variant Title": "Tall",
                "Variant SKU": "LAMP-T",
                "Variant Barcode": "0401",
                "Variant Inventory Quantity": "7",
                "Variant Allow Backorder": "TRUE",
                "Variant Manage Inventory": "FALSE",
                "Variant Weight": "900",
                "Price Europe [EUR]": "10.50",
                "Price Japan [JPY]": "1050",
                "Price USD": "11.999",
                "Option 1 Name": "Height",
                "Option 1 Value": "Tall",
                "Image 1 Url": "a.png",
                "Image 2 Url": "b.png",
                "Sales Channel 1 Id": "sc_web",
                "Sales Channel 2 Name": "Fairs",
                "Product Category 1 Handle": "home",
            }
        )
    )
    product = await shop.product("oak-lamp")
    variant = product["variants"][0]

    assert timeless(product) == {
        "handle": "oak-lamp",
        "title": "Oak lamp",
        "subtitle": "Warm light",
        "description": 'Oak, "oiled".\nMade here.',
        "is_giftcard": False,
        "status": "published",
        "thumbnail": "a.png",
        "weight": 1200,
        "length": None,
        "width": None,
        "height": 30.5,
        "hs_code": "00940",
        "origin_country": "PT",
        "mid_code": None,
        "material": "oak",
        "collection_id": "pcol_spring",
        "collection": {"title": "Spring", "handle": "spring"},
        "type_id": product["type"]["id"],
        "type": {"value": "Light"},
        "discountable": False,
        "external_id": "42",
        "metadata": None,
        "profile": {"name": "Default Shipping Profile", "type": "default"},
        "options": [{"title": "Height"}],
        "images": [{"url": "a.png"}, {"url": "b.png"}],
        "tags": [{"value": "oak"}, {"value": "warm"}],
        "sales_channels": [
            {"name": "Web shop", "description": "The web"},
            {"name": "Fairs", "description": None},
        ],
        "categories": [{"handle": "home", "name": "Home", "description": None}],
        "skus": ["LAMP-T"],
        "barcodes": ["0401"],
        "deleted_at": None,
        "variants": [
            {
                "title": "Tall",
                "sku": "LAMP-T",
                "barcode": "0401",
                "ean": None,
                "upc": None,
                "variant_rank": 0,
                "inventory_quantity": 7,
                "allow_backorder": True,
                "manage_inventory": False,
                "weight": 900,
                "length": None,
                "width": None,
                "height": None,
                "hs_code": None,
                "origin_country": None,
                "mid_code": None,
                "material": None,
                "metadata": None,
                "deleted_at": None,
                "options": [{"value": "Tall"}],
                "prices": [
                    price("eur", 1050, "reg_eu"),
                    price("jpy", 1050, "reg_jp"),
                    price("usd", 1200, None),
                ],
            }
        ],
    }
    assert product["_id"].startswith("prod_") and len(product["_id"]) == 31
    assert variant["id"].startswith("variant_")
    assert variant["options"][0]["option_id"] == product["options"][0]["id"]
    assert product["created_at"] == product["updated_at"] == variant["created_at"]
    assert await shop.catalog["product_types"].find_one({"_id": product["type_id"], "value": "Light"})


async def test_rows_of_one_product_may_stand_apart(shop: Shop) -> None:
    await shop.load(
        table(variant("lamp", "LAMP-1"), variant("bowl", "BOWL-1"), variant("lamp", "LAMP-2", Variant_Title="Two"))
    )
    lamp = await shop.product("lamp")
    assert [each["sku"] for each in lamp["variants"]] == ["LAMP-1", "LAMP-2"]
    assert [each["variant_rank"] for each in lamp["variants"]] == [0, 1]


async def test_only_the_first_row_speaks_for_the_product(shop: Shop) -> None:
    await shop.load(table(variant("lamp", "1", Product_Title="Lamp"), variant("lamp", "2", Product_Title="Other")))
    assert (await shop.product("lamp"))["title"] == "Lamp"


async def test_the_options_of_a_new_product_are_those_of_all_its_rows(shop: Shop) -> None:
    first = {"Option 1 Name": "Colour", "Option 1 Value": "red", "Option 2 Name": "Size", "Option 2 Value": "S"}
    second = {"Option 1 Name": "Size", "Option 1 Value": "L", "Option 2 Name": "Colour", "Option 2 Value": "blue"}
    await shop.load(table(variant("lamp", "1") | first, variant("lamp", "2") | second))

    lamp = await shop.product("lamp")
    titles = {option["id"]: option["title"] for option in lamp["options"]}

    assert list(titles.values()) == ["Colour", "Size"]
    assert [{titles[value["option_id"]]: value["value"] for value in each["options"]} for each in lamp["variants"]] == [
        {"Colour": "red", "Size": "S"},
        {"Size": "L", "Colour": "blue"},
    ]


async def test_a_product_type_is_created_once_for_all_its_products(shop: Shop) -> None:
    await shop.catalog["product_types"].insert_one({"_id": "ptyp_old", "value": "Old"})
    await shop.load(
        table(
            variant("a", "1", Product_Type="New"),
            variant("b", "2", Product_Type="New"),
            variant("c", "3", Product_Type="Old"),
        )
    )
    types = await shop.catalog["product_types"].find().to_list(None)
    assert sorted(each["value"] for each in types) == ["New", "Old"]
    assert (await shop.product("a"))["type"] == (await shop.product("b"))["type"]
    assert (await shop.product("c"))["type_id"] == "ptyp_old"


async def test_two_imports_that_create_the_same_type_agree_on_it(shop: Shop) -> None:
    one = await shop.plan(table(variant("a", "1", Product_Type="New")))
    two = await shop.plan(table(variant("b", "2", Product_Type="New")))
    await one.process()
    await two.process()
    assert await shop.catalog["product_types"].count_documents({}) == 1


async def test_regions_that_differ_in_case_only_are_told_apart(shop: Shop) -> None:
    await shop.load(table(variant("lamp", "1", **{"Price denmark [DKK]": "1", "Price Denmark [DKK]": "2"})))
    prices = (await shop.product("lamp"))["variants"][0]["prices"]
    assert {each["region_id"]: each["amount"] for each in prices} == {"reg_dk_lower": 100, "reg_dk": 200}


async def test_a_region_is_found_in_another_case_if_only_one_fits(shop: Shop) -> None:
    await shop.load(table(variant("lamp", "1", **{"Price EUROPE": "1"})))
    assert (await shop.product("lamp"))["variants"][0]["prices"][0]["region_id"] == "reg_eu"


async def test_a_collection_without_a_handle_in_the_file_is_found_by_its_title(shop: Shop) -> None:
    await shop.load(table(variant("lamp", "1", Product_Collection_Title="Autumn")))
    assert (await shop.product("lamp"))["collection_id"] == "pcol_autumn"


async def test_a_sales_channel_that_does_not_exist_is_skipped_with_a_warning(shop: Shop) -> None:
    job = await shop.load(
        table(variant("lamp", "1", **{"Sales Channel 1 Name": "Moon", "Sales Channel 2 Name": "Fairs"}))
    )
    assert [channel["name"] for channel in (await shop.product("lamp"))["sales_channels"]] == ["Fairs"]
    assert job.result["warnings"] == ["There is no sales channel Moon; it was skipped"]


async def test_profile_columns_and_names_of_categories_are_accepted_and_ignored(shop: Shop) -> None:
    ignored = {
        "Product Profile Name": "Other",
        "Product Profile Type": "other",
        "Product Category 1 Name": "x",
        "Product Category 1 Description": "x",
        "Sales Channel 1 Description": "x",
    }
    await shop.load(table(variant("lamp", "1", **ignored)))
    lamp = await shop.product("lamp")
    assert lamp["profile"]["type"] == "default"
    assert lamp["categories"] == lamp["sales_channels"] == []


async def test_products_without_sku_and_barcode_do_not_get_in_each_others_way(shop: Shop) -> None:
    await shop.load(table(variant("a"), variant("b"), variant("b", Variant_Title="Two")))
    products = await shop.products()
    assert len(products) == 2
    assert "skus" not in products[0] and "barcodes" not in products[1]


# -- when the job is created -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({}, "fileKey"),
        ({"fileKey": ""}, "fileKey"),
        ({"fileKey": 3}, "fileKey"),
        ({"fileKey": "no-such-file.csv"}, "fileKey"),
        ({"fileKey": "x", "on_error": "ignore"}, "on_error"),
        ({"fileKey": "x", "delimiter": "::"}, "delimiter"),
        ({"fileKey": "x", "encoding": "utf-99"}, "encoding"),
        ({"fileKey": "x", "max_errors": 0}, "max_errors"),
    ],
)
async def test_a_context_that_is_not_right_is_refused_by_its_field(
    shop: Shop, context: dict[str, Any], field: str
) -> None:
    job = FakeJob(ProductImport(), context, shop.services)
    with pytest.raises(JobRefused) as refused:
        await job.prepare()
    assert refused.value.field == field


async def test_the_context_is_kept_as_it_was_given(shop: Shop) -> None:
    shop.files.put("a.csv", b"")
    strategy = ProductImport()
    strategy.services = shop.services
    draft = Draft("product-import", {"fileKey": "a.csv", "ours": [1]}, dry_run=False)
    await strategy.prepare(draft, Actor("usr_1", "user"))
    assert draft.context == {"fileKey": "a.csv", "ours": [1]}


async def test_a_job_that_was_never_planned_cannot_be_applied(shop: Shop) -> None:
    job = shop.job(table(variant("lamp")))
    with pytest.raises(StrategyError, match="There is no plan"):
        await job.process()


async def test_the_template_can_be_imported(shop: Shop) -> None:
    template = await ProductImport().build_template()
    job = await shop.load(template)
    assert job.errors == []
    assert job.result["count"] == 2
