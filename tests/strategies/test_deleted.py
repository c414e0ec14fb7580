"""What is deleted in the catalogue bears a `deleted_at`, wherever it stands, and is not there for imports and exports."""

from __future__ import annotations

from typing import Any

import pytest

from batchbus_strategies.records.carrying_out import CatalogChanged
from tests.strategies.shop import THEN, Shop, stool, table, variant

ROW = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
DELETED = {"deleted_at": THEN}


def small(**changes: Any) -> dict[str, Any]:
    """Another variant of the stool."""
    return {
        "id": "variant_stool_s",
        "title": "Small",
        "sku": "STOOL-S",
        "barcode": "4006381333931",
        "options": [{"id": "optval_s", "option_id": "opt_size", "value": "S"}],
        "prices": [{"id": "ma_s", "currency_code": "usd", "amount": 100, "region_id": None}],
        **changes,
    }


def two(**changes: Any) -> list[dict[str, Any]]:
    return [*stool()["variants"], small(**changes)]


@pytest.mark.parametrize("catalogue", ["small", "large"])
async def test_an_id_of_a_deleted_product_is_as_unknown_as_any(shop: Shop, catalogue: str) -> None:
    if catalogue == "large":
        await shop.fill_catalog()
    await shop.catalog["products"].insert_one(stool(**DELETED))
    message, job = await shop.refused(table(ROW | {"Product Title": "Back again"}))
    assert "there is no product with this id in the catalogue" in message
    assert [(error.line, error.column, error.code) for error in job.errors] == [(2, "Product Id", "unknown_product")]
    found = await shop.catalog["products"].find_one({"_id": "prod_stool"})
    assert found and found["title"] == "Stool"


async def test_handle_sku_and_barcode_of_a_deleted_product_are_free(shop: Shop) -> None:
    barcodes = {"barcodes": ["4006381333931"], "variants": two()}
    await shop.catalog["products"].insert_one(stool(**DELETED, **barcodes))
    job = await shop.load(table(variant("stool", "STOOL-L", Variant_Barcode="4006381333931")))
    assert job.errors == [] and job.result["advancement_count"] == 2
    assert len([product for product in await shop.products() if product["handle"] == "stool"]) == 2


async def test_the_indexes_of_earlier_versions_make_way(shop: Shop) -> None:
    products = shop.catalog["products"]
    for path in "handle", "skus", "barcodes":
        await products.create_index([(path, 1)], unique=True, sparse=path != "handle")
    await products.insert_one(stool(**DELETED))
    await shop.load(table(variant("stool", "STOOL-L")))
    assert set(await products.index_information()) == {
        *("_id_", "living_handle", "living_skus", "living_barcodes"),
        *("elements_variants.sku", "elements_variants.barcode"),  # for variants that no array repeats
    }
    with pytest.raises(CatalogChanged):
        job = await shop.plan(table(variant("lamp", "LAMP")))
        await products.insert_one({"_id": "theirs", "handle": "lamp"})
        await job.process()


async def test_a_deleted_variant_is_as_unknown_as_any_and_its_sku_is_free(shop: Shop) -> None:
    known = stool(variants=two(**DELETED), skus=["STOOL-L", "STOOL-S"], barcodes=["4006381333931"])
    await shop.catalog["products"].insert_one(known)
    message, _ = await shop.refused(table(ROW | {"Variant Id": "variant_stool_s", "Variant Title": "Tiny"}))
    assert "the product prod_stool has no variant with this id" in message

    await shop.load(table(variant("lamp", "STOOL-S", Variant_Barcode="4006381333931")))
    kept = await shop.product("stool")
    assert (kept["skus"], "barcodes" in kept) == (["STOOL-L"], False)
    assert kept["variants"] == known["variants"]


async def test_a_new_variant_may_have_the_sku_of_a_deleted_one_of_its_product(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool(variants=two(**DELETED), skus=["STOOL-L", "STOOL-S"]))
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Title": "Small", "Variant SKU": "STOOL-S"}
    await shop.load(table(row))
    variants = (await shop.product("stool"))["variants"]
    assert [(each["title"], each.get("deleted_at")) for each in variants] == [
        ("Large", None),
        ("Small", THEN.replace(tzinfo=variants[1]["deleted_at"].tzinfo)),
        ("Small", None),
    ]


async def test_deleted_prices_options_and_values_count_for_nothing(shop: Shop) -> None:
    large = stool()["variants"][0] | {
        "prices": [{"id": "ma_1", "currency_code": "usd", "amount": 990, "region_id": None, **DELETED}],
        "options": [{"id": "optval_l", "option_id": "opt_size", "value": "L", **DELETED}],
    }
    options = [*stool()["options"], {"id": "opt_colour", "title": "Colour", **DELETED}]
    await shop.catalog["products"].insert_one(stool(variants=[large], options=options))
    await shop.load(table(ROW | {"Price USD": "9.90", "Option 1 Name": "Size", "Option 1 Value": "L"}))
    (changed,) = (await shop.product("stool"))["variants"]
    assert [(price["amount"], price.get("deleted_at") is None) for price in changed["prices"]] == [
        (990, False),
        (990, True),
    ]
    assert [value["value"] for value in changed["options"]] == ["L", "L"]
    message, _ = await shop.refused(table(ROW | {"Option 1 Name": "Colour", "Option 1 Value": "red"}))
    assert "has no option Colour" in message


async def test_a_deleted_type_is_not_linked_to_again(shop: Shop) -> None:
    await shop.load(table(variant("lamp", "L", Product_Type="Light")))
    first = (await shop.product("lamp"))["type_id"]
    await shop.catalog["product_types"].update_one({"_id": first}, {"$set": DELETED})
    await shop.load(table(variant("bulb", "B", Product_Type="Light")))
    lamp = await shop.product("lamp")
    row = {"Product Id": lamp["_id"], "Product Handle": "lamp", "Variant Id": lamp["variants"][0]["id"]}
    await shop.load(table(row | {"Product Type": "Light"}))
    second = (await shop.product("bulb"))["type_id"]
    assert second != first
    types = {kind["_id"]: kind.get("deleted_at") for kind in await shop.catalog["product_types"].find().to_list(None)}
    assert set(types) == {first, second} and types[second] is None
    assert {(await shop.product(handle))["type"]["id"] for handle in ("lamp", "bulb")} == {second}


async def test_nothing_deleted_is_exported(shop: Shop) -> None:
    await shop.catalog["product_types"].insert_one({"_id": "ptyp_old", "value": "Old", **DELETED})
    await shop.catalog["products"].insert_many(
        [
            stool(
                variants=two(**DELETED),
                type={"id": "ptyp_old", "value": "Old"},
                type_id="ptyp_old",
                tags=[{"id": "t1", "value": "oak"}, {"id": "t2", "value": "gone", **DELETED}],
                images=[{"id": "i1", "url": "a.png"}, {"id": "i2", "url": "gone.png", **DELETED}],
                options=[*stool()["options"], {"id": "opt_gone", "title": "Gone", **DELETED}],
            ),
            stool(_id="prod_gone", handle="gone", skus=["G"], **DELETED),
        ]
    )
    (row,) = shop.exported(await shop.export())
    assert (row["Product Handle"], row["Variant SKU"], row["Product Type"], row["Product Tags"]) == (
        *("stool", "STOOL-L"),
        *("", "oak"),
    )
    assert "Image 2 Url" not in row and "Option 2 Name" not in row and "Price USD" not in row
    assert shop.exported(await shop.export(filterable_fields={"q": "STOOL-S"})) == []
    assert shop.exported(await shop.export(filterable_fields={"tags": ["gone"]})) == []
