"""What an import does to products that exist, and to those that others are changing at the same time."""

from __future__ import annotations

from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorCollection

from batchbus_strategies.records import applying
from batchbus_strategies.records.carrying_out import CatalogChanged
from tests.strategies.shop import THEN, Shop, price, stool, table, timeless, variant

# -- products that exist -----------------------------------------------------------------------------------------------


async def test_an_update_changes_what_the_file_says_and_nothing_else(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool(material="oak", metadata={"ours": 1}, subtitle="Sit"))
    await shop.load(
        table(
            {
                "Product Id": "prod_stool",
                "Product Handle": "stool",
                "Product Title": "Oak stool",
                "Product Subtitle": "",
                "Variant Id": "variant_stool_l",
                "Variant SKU": "STOOL-XL",
                "Price USD": "3",
                "Option 1 Name": "Size",
                "Option 1 Value": "XL",
            }
        )
    )
    product = await shop.product("stool")
    changed = product["variants"][0]

    assert (product["title"], product["subtitle"]) == ("Oak stool", None)
    assert (product["material"], product["metadata"], product["status"]) == ("oak", {"ours": 1}, "published")
    assert (changed["id"], changed["title"], changed["sku"]) == ("variant_stool_l", "Large", "STOOL-XL")
    assert changed["inventory_quantity"] == 3
    assert changed["options"] == [{"id": "optval_l", "option_id": "opt_size", "value": "XL"}]
    assert timeless(changed["prices"]) == [price("usd", 300, None)]
    assert product["skus"] == ["STOOL-XL"]
    assert product["created_at"] == THEN < product["updated_at"] == changed["updated_at"]


async def test_a_row_without_variant_id_adds_a_variant(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    await shop.load(table(variant("stool", "STOOL-S", Product_Id="prod_stool", Product_Title="Stool")))

    product = await shop.product("stool")

    assert [each["sku"] for each in product["variants"]] == ["STOOL-L", "STOOL-S"]
    assert product["variants"][1]["variant_rank"] == 1
    assert product["skus"] == ["STOOL-L", "STOOL-S"]


async def test_what_would_not_change_is_not_in_the_plan(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}

    job = await shop.load(table(row | {"Product Title": "Stool", "Variant Title": "Large", "Variant SKU": "STOOL-L"}))

    assert job.result["count"] == 0
    assert await shop.products() == [stool()]


async def test_an_empty_cell_does_not_clear_what_must_have_a_value(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    job = await shop.plan(
        table(
            {
                "Product Id": "prod_stool",
                "Product Handle": "stool",
                "Product Title": "",
                "Product Status": "",
                "Product Discountable": "",
                "Variant Id": "variant_stool_l",
                "Variant Title": "",
                "Variant Inventory Quantity": "",
            }
        )
    )
    assert job.result["count"] == 0


async def test_an_empty_price_removes_the_price_and_a_missing_column_leaves_it(shop: Shop) -> None:
    product = stool()
    product["variants"][0]["prices"] = [
        {"id": "ma_1", **price("usd", 100, None)},
        {"id": "ma_2", **price("eur", 200, "reg_eu")},
        {"id": "ma_3", **price("eur", 150, None), "min_quantity": 10},
    ]
    await shop.catalog["products"].insert_one(product)
    await shop.load(
        table(
            {
                "Product Id": "prod_stool",
                "Product Handle": "stool",
                "Variant Id": "variant_stool_l",
                "Price USD": "",
                "Price EUR": "9",
            }
        )
    )
    prices = (await shop.product("stool"))["variants"][0]["prices"]
    assert [each["id"] for each in prices[:2]] == ["ma_2", "ma_3"]
    assert timeless(prices[2]) == price("eur", 900, None)


async def test_a_product_can_get_another_handle(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    job = await shop.load(
        table({"Product Id": "prod_stool", "Product Handle": "oak-stool", "Variant Id": "variant_stool_l"})
    )
    assert job.result["operations"]["PRODUCT_UPDATE"] == 1
    assert (await shop.product("oak-stool"))["_id"] == "prod_stool"


async def test_two_variants_of_a_product_can_swap_their_skus(shop: Shop) -> None:
    product = stool(skus=["A", "B"])
    product["variants"] = [{"id": "v_a", "title": "A", "sku": "A"}, {"id": "v_b", "title": "B", "sku": "B"}]
    await shop.catalog["products"].insert_one(product)
    row = {"Product Id": "prod_stool", "Product Handle": "stool"}
    await shop.load(
        table(row | {"Variant Id": "v_a", "Variant SKU": "B"}, row | {"Variant Id": "v_b", "Variant SKU": "A"})
    )
    assert [each["sku"] for each in (await shop.product("stool"))["variants"]] == ["B", "A"]


async def test_a_product_that_lost_its_last_sku_is_out_of_the_index(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    await shop.load(table(row | {"Variant SKU": "", "Variant Title": "Large"}))
    assert "skus" not in await shop.product("stool")


async def test_a_thumbnail_follows_the_first_image_when_images_change(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    await shop.load(table(row | {"Image 1 Url": "a.png"}))
    assert (await shop.product("stool"))["thumbnail"] == "a.png"


async def test_large_catalogues_are_asked_and_small_ones_read(shop: Shop) -> None:
    await shop.load(table(*(variant(f"p-{n}", f"SKU-{n}") for n in range(60))))
    found = await shop.product("p-7")
    row = {"Product Id": found["_id"], "Product Handle": "p-7", "Variant Id": found["variants"][0]["id"]}
    file = table(
        row | {"Variant SKU": "SKU-8", "Variant Title": "New"}, variant("p-9", "SKU-new"), variant("q", "SKU-10")
    )

    read, _ = await shop.refused(file, max_errors=10)
    await shop.fill_catalog()
    asked, job = await shop.refused(file, max_errors=10)

    assert asked == read
    assert {(error.line, error.code) for error in job.errors} == {
        (2, "sku_taken"),
        (3, "handle_taken"),
        (4, "sku_taken"),
    }


# -- others at work at the same time -----------------------------------------------------------------------------------


async def test_a_product_that_someone_changed_since_the_plan_is_left_alone(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    first = await shop.plan(table(row | {"Product Title": "One"}))
    second = await shop.plan(table(row | {"Product Title": "Two"}))
    await first.process()

    with pytest.raises(CatalogChanged) as refused:
        await second.process()

    assert "line 2: it has been changed since the plan was made" in str(refused.value)
    assert [(error.line, error.code, error.value) for error in second.errors] == [(2, "conflict", "stool")]
    assert (await shop.product("stool"))["title"] == "One"


async def test_conflicts_can_be_skipped(shop: Shop) -> None:
    file = table(variant("lamp", "LAMP-1"), variant("bowl", "BOWL-1"))
    first = await shop.plan(table(variant("bowl", "OTHER")))
    second = await shop.plan(file, on_error="skip")
    await first.process()

    await second.process()

    assert [(error.line, error.code) for error in second.errors] == [(3, "conflict")]
    assert (second.result["count"], second.result["advancement_count"]) == (4, 2)
    assert [product["handle"] for product in await shop.products()] == ["bowl", "lamp"]


async def test_a_product_deleted_since_the_plan_is_a_conflict(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    job = await shop.plan(table(row | {"Product Title": "One"}))
    await shop.catalog["products"].delete_many({})
    with pytest.raises(CatalogChanged, match="has been deleted"):
        await job.process()


async def test_a_sku_taken_since_the_plan_is_a_conflict(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    job = await shop.plan(table(row | {"Variant SKU": "WANTED"}))
    await shop.load(table(variant("lamp", "WANTED")))
    with pytest.raises(CatalogChanged, match="a new SKU or barcode of its variants, has been taken"):
        await job.process()


async def test_a_variant_is_found_by_its_id_wherever_it_is_by_then(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    job = await shop.plan(table(row | {"Variant Title": "Huge"}))
    other = {"id": "variant_other", "title": "Other"}
    products: AsyncIOMotorCollection[dict[str, Any]] = shop.catalog["products"]
    await products.update_one({"_id": "prod_stool"}, {"$set": {"variants": [other, *stool()["variants"]]}})
    await job.process()
    assert [each["title"] for each in (await shop.product("stool"))["variants"]] == ["Other", "Huge"]


WEB = {"id": "sc_web", "name": "Web shop", "description": "The web"}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["Webshop"], ["sc_web"]),
        (["Webshop", "Fairs"], ["sc_web", "sc_fair"]),
        (["Web shop", "Nowhere"], ["sc_web"]),
        (["Fairs"], ["sc_fair"]),
        ([""], []),
    ],
)
async def test_a_sales_channel_that_is_skipped_takes_none_away(
    shop: Shop, named: list[str], expected: list[str]
) -> None:
    await shop.catalog["products"].insert_one(stool(sales_channels=[WEB]))
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    row |= {f"Sales Channel {n} Name": name for n, name in enumerate(named, 1)}
    job = await shop.load(table(row | {"Product Title": "Oak stool"}))
    found = await shop.product("stool")
    assert ([channel["id"] for channel in found["sales_channels"]], found["title"]) == (expected, "Oak stool")
    skipped = [name for name in named if name in ("Webshop", "Nowhere")]
    assert job.result.get("warnings", []) == [f"There is no sales channel {name}; it was skipped" for name in skipped]


def priced(**amounts: int) -> list[dict[str, Any]]:
    """Prices for everyone, as another service may have them, without ids."""
    return [{"currency_code": currency, "amount": amount, "region_id": None} for currency, amount in amounts.items()]


THEIRS: dict[str, tuple[dict[str, Any], str | None]] = {
    "another price": ({"$set": {"variants.0.prices.1.amount": 700}}, None),
    "a variant of their own": (
        {"$push": {"variants": {"id": "v_theirs", "title": "Theirs", "sku": "T-1"}, "skus": "T-1"}},
        None,
    ),
    "a variant in front": (
        {"$push": {"variants": {"$each": [{"id": "v_theirs", "title": "Theirs"}], "$position": 0}}},
        None,
    ),
    "another field of the variant": ({"$set": {"variants.0.inventory_quantity": 77}}, None),
    "a barcode where there was none": ({"$set": {"variants.0.barcode": "4006381333931"}}, "another barcode"),
    "a field of the product": ({"$set": {"subtitle": "Theirs"}}, None),
    "the same price": ({"$set": {"variants.0.prices.0.amount": 555}}, "another price in USD"),
    "the same price, gone": ({"$pop": {"variants.0.prices": -1}}, "another price in USD"),
    "the same title": ({"$set": {"title": "Their stool"}}, "it has another title"),
    "the same variant's title": (
        {"$set": {"variants.0.title": "Theirs"}},
        "its variant variant_stool_l has another title",
    ),
    "the same variant, deleted": (
        {"$set": {"variants.0.deleted_at": THEN}},
        "its variant variant_stool_l has been deleted",
    ),
    "the same variant, removed": ({"$pop": {"variants": -1}}, "its variant variant_stool_l has been deleted"),
    "the product, deleted": ({"$set": {"deleted_at": THEN}}, "it has been deleted"),
    "the sku of the new variant": (
        {"$push": {"variants": {"id": "v_theirs", "title": "Theirs", "sku": "STOOL-S"}, "skus": "STOOL-S"}},
        "another of its variants has got the same sku",
    ),
}


@pytest.mark.parametrize("between", ["plan and confirmation", "read and write"])
@pytest.mark.parametrize("theirs", THEIRS)
async def test_what_others_do_meanwhile_stays_and_the_same_thing_is_a_conflict(
    shop: Shop, theirs: str, between: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others that know nothing of `revision`."""
    large = stool()["variants"][0] | {"prices": priced(usd=500, eur=600)}
    await shop.catalog["products"].insert_one(stool(variants=[large]))
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Product Title": "Oak stool"}
    changed = row | {
        "Variant Id": "variant_stool_l",
        "Variant Title": "Huge",
        "Price USD": "9.90",
        "Variant SKU": "STOOL-L",
    }
    changed["Variant Barcode"] = "9783161484100"
    added = row | {"Variant Title": "Small", "Variant SKU": "STOOL-S"}
    job = await shop.plan(table(changed, added))
    write, conflict = THEIRS[theirs]

    async def do_theirs() -> None:
        # Not `revision`, but everything else.
        assert (await shop.catalog["products"].update_one({"_id": "prod_stool"}, write)).modified_count == 1

    if between == "plan and confirmation":
        await do_theirs()
    else:
        requests = applying.requests_of

        async def requests_and_then_theirs(*arguments: Any) -> Any:
            monkeypatch.undo()
            made = await requests(*arguments)
            await do_theirs()
            return made

        monkeypatch.setattr(applying, "requests_of", requests_and_then_theirs)
    if conflict:
        with pytest.raises(CatalogChanged, match=conflict):
            await job.process()
        assert "revision" not in await shop.catalog["products"].find_one({"_id": "prod_stool"})  # type: ignore[operator]
        return
    await job.process()
    found = await shop.product("stool")
    variants = {each["id"] if each["id"].startswith("v_") else each["title"]: each for each in found["variants"]}
    assert found["title"] == "Oak stool"
    assert {"Huge", "Small"} <= set(variants)
    assert {price["currency_code"]: price["amount"] for price in variants["Huge"]["prices"]} == {
        "usd": 990,
        "eur": 700 if theirs == "another price" else 600,
    }
    assert ("v_theirs" in variants) == ("variant" in theirs and "field" not in theirs)
    assert variants["Huge"]["inventory_quantity"] == (77 if theirs == "another field of the variant" else 3)
    assert found.get("subtitle") == ("Theirs" if theirs == "a field of the product" else None)
    assert sorted(found["skus"]) == sorted(each["sku"] for each in variants.values() if each.get("sku"))


async def test_a_chunk_that_is_repeated_after_others_have_gone_on_is_no_conflict(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(stool())
    row = {"Product Id": "prod_stool", "Product Handle": "stool", "Variant Id": "variant_stool_l"}
    job = await shop.plan(table(row | {"Product Title": "Oak stool"}))
    await job.process()
    await shop.catalog["products"].update_one({"_id": "prod_stool"}, {"$set": {"title": "Theirs"}})
    job.rewind("process", 0)
    await job.process()
    assert job.errors == [] and (await shop.product("stool"))["title"] == "Theirs"
