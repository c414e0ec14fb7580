"""What an export writes, which products it is about, and what it refuses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from batchbus_strategies import JobRefused
from batchbus_strategies.product_export import ProductExport
from batchbus_strategies.testing import FakeJob
from tests.strategies.shop import THEN, Shop, stool, table, variant

RELATIONS = [
    "variants",
    "variants.prices",
    "variants.options",
    "profiles",
    "images",
    "options",
    "options.values",
    "tags",
    "type",
    "collection",
    "sales_channels",
    "variants.prices.region",
]

# -- the context -------------------------------------------------------------------------------------------------------


async def prepared(shop: Shop, **context: Any) -> dict[str, Any]:
    job = FakeJob(ProductExport(), context, shop.services)
    await job.prepare()
    return job.context


async def test_an_export_of_everything_begins_with_the_newest(shop: Shop) -> None:
    assert await prepared(shop) == {
        "list_config": {"relations": RELATIONS, "skip": 0, "take": 50, "order": {"created_at": "DESC"}}
    }


async def test_the_flat_keys_become_the_list_config(shop: Shop) -> None:
    context = await prepared(
        shop,
        limit=5,
        offset=2,
        order="-title",
        fields=["title"],
        expand="variants",
        filterable_fields={"status": ["draft"]},
        ours={"bar": [1, None, "x"]},
    )
    assert context == {
        "list_config": {
            "relations": ["variants"],
            "skip": 2,
            "take": 5,
            "order": {"title": "DESC"},
            "select": ["title", "created_at", "id"],
        },
        "filterable_fields": {"status": ["draft"]},
        "ours": {"bar": [1, None, "x"]},
    }


async def test_a_list_config_that_is_given_is_completed(shop: Shop) -> None:
    context = await prepared(shop, list_config={"order": {"handle": "ASC"}, "skip": 3})
    assert context["list_config"] == {"relations": RELATIONS, "skip": 3, "take": 50, "order": {"handle": "ASC"}}


async def test_the_flat_keys_go_before_a_list_config(shop: Shop) -> None:
    context = await prepared(shop, list_config={"take": 3, "skip": 3}, limit=7, order=None)
    assert context["list_config"] == {"relations": RELATIONS, "skip": 3, "take": 7, "order": {"created_at": "DESC"}}


async def test_what_is_empty_is_nothing_and_what_is_null_is_not_there(shop: Shop) -> None:
    empty = await prepared(shop, fields="", expand="")
    assert (empty["list_config"]["select"], empty["list_config"]["relations"]) == (["created_at", "id"], [])
    null = {"fields": None, "expand": None, "limit": None, "list_config": None, "filterable_fields": None}
    assert await prepared(shop, **null) == await prepared(shop)


@pytest.mark.parametrize(
    ("context", "field"),
    [
        ({"order": "bogus"}, "order"),
        ({"order": ""}, "order"),
        ({"order": 3}, "order"),
        ({"list_config": {"order": {"bogus": "ASC"}}}, "order"),
        ({"list_config": {"order": {"title": "UP"}}}, "order"),
        ({"list_config": {"order": {"title": "ASC", "handle": "ASC"}}}, "order"),
        ({"list_config": {"order": "title"}}, "order"),
        ({"list_config": {"skip": -1}}, "list_config.skip"),
        ({"list_config": 3}, "list_config"),
        ({"list_config": {"tke": 3}}, "list_config"),
        ({"list_config": {"relations": ["variants", "colours"]}}, "list_config.relations"),
        ({"expand": "variants.prices,colours"}, "expand"),
        ({"ofset": 2}, "ofset"),
        ({"batchsize": 3}, "batchsize"),
        ({"filterable_field": {}}, "filterable_field"),
        ({"limit": -1}, "limit"),
        ({"offset": "two"}, "offset"),
        ({"fields": [3]}, "fields"),
        ({"batch_size": 0}, "batch_size"),
        ({"filterable_fields": {"colour": "red"}}, "filterable_fields.colour"),
        ({"filterable_fields": {"status": "sold"}}, "filterable_fields.status"),
        ({"filterable_fields": {"title": {"$ne": "x"}}}, "filterable_fields.title"),
        ({"filterable_fields": {"handle": []}}, "filterable_fields.handle"),
        ({"filterable_fields": {"is_giftcard": "yes"}}, "filterable_fields.is_giftcard"),
        ({"filterable_fields": {"created_at": "2024"}}, "filterable_fields.created_at"),
        ({"filterable_fields": {"created_at": {"gt": "yesterday"}}}, "filterable_fields.created_at"),
        ({"filterable_fields": {"created_at": {"after": "2024-01-01"}}}, "filterable_fields.created_at"),
        ({"filterable_fields": {"q": 3}}, "filterable_fields.q"),
        ({"filterable_fields": []}, "filterable_fields"),
    ],
)
async def test_what_cannot_be_exported_is_refused_by_its_field(shop: Shop, context: dict[str, Any], field: str) -> None:
    with pytest.raises(JobRefused) as refused:
        await prepared(shop, **context)
    assert refused.value.field == field


async def test_looking_ahead_sets_the_shape_and_the_number_of_products(shop: Shop) -> None:
    await shop.load(
        table(
            variant(
                "a", "A-1", **{"Price USD": "1", "Price Denmark [DKK]": "2", "Image 1 Url": "a", "Image 2 Url": "b"}
            ),
            variant("b", "B-1", Option_1_Name="Size", Option_1_Value="L", Sales_Channel_1_Id="sc_web"),
        )
    )
    job = FakeJob(ProductExport(), {}, shop.services)
    await job.prepare()
    await job.pre_process()

    assert job.context["shape"] == {
        "prices": [
            {"currency_code": "dkk", "region": {"id": "reg_dk", "name": "Denmark", "currency_code": "dkk"}},
            {"currency_code": "usd", "region": None},
        ],
        "dynamicOptionColumnCount": 1,
        "dynamicImageColumnCount": 2,
        "dynamicSalesChannelsColumnCount": 1,
        "dynamicProductCategoriesColumnCount": 0,
    }
    assert job.context["list_config"]["relations"] == sorted(RELATIONS)
    assert job.result == {
        "stat_descriptors": [
            {
                "key": "product-export-count",
                "name": "Product count to export",
                "message": "There will be 2 products exported by this action",
            }
        ]
    }


# -- the file ----------------------------------------------------------------------------------------------------------


async def test_the_file_has_one_row_for_each_variant(shop: Shop) -> None:
    await shop.catalog["products"].insert_one(
        stool(
            description='Solid, "oiled"; dry\nwood',
            weight=1200,
            height=30.5,
            collection_id="pcol_spring",
            type={"id": "ptyp_1", "value": "Seat"},
            tags=[{"id": "ptag_1", "value": "oak"}, {"id": "ptag_2", "value": "a, b"}],
            profile={"name": "Default Shipping Profile", "type": "default"},
            images=[{"id": "img_1", "url": "a.png"}],
            sales_channels=[{"id": "sc_web"}],
            categories=[{"id": "pcat_home"}],
            external_id="=1+1",
        )
    )
    await shop.catalog["products"].update_one(
        {"_id": "prod_stool"},
        {
            "$set": {
                "variants.0.inventory_quantity": -3,
                "variants.0.prices": [
                    {"currency_code": "eur", "amount": 1050, "region_id": "reg_eu"},
                    {"currency_code": "jpy", "amount": 1050, "region_id": None},
                ],
            }
        },
    )

    job = await shop.export()

    content = shop.files.get(job.result["file_key"])
    header, *rows = content.decode().split("\r\n")
    assert header.split(";")[:3] == ["Product Id", "Product Handle", "Product Title"]
    assert header.endswith(
        "Variant MID Code;Variant Material;Price Europe [EUR];Price JPY;Option 1 Name;Option 1 Value;Image 1 Url;"
        "Sales Channel 1 Name;Sales Channel 1 Id;Sales Channel 1 Description;"
        "Product Category 1 Handle;Product Category 1 Name;Product Category 1 Description"
    )
    assert rows == [
        'prod_stool;stool;Stool;;"Solid, ""oiled""; dry\nwood";published;;1200;;;30.5;;;;;Spring;spring;Seat;'
        '"oak,""a, b""";true;\'=1+1;Default Shipping Profile;default;variant_stool_l;Large;STOOL-L;;-3;false;true;'
        ";;;;;;;;10.5;1050;Size;L;a.png;Web shop;sc_web;The web;home;Home;",
        "",
    ]
    assert job.result["file_size"] == len(content)
    assert job.result["count"] == job.result["advancement_count"] == 1


async def test_a_region_price_is_exported_once(shop: Shop) -> None:
    await shop.load(table(variant("a", "A-1", **{"Price Denmark [DKK]": "1", "Price denmark [DKK]": "2"})))
    row = shop.exported(await shop.export())[0]
    assert {name: cell for name, cell in row.items() if name.startswith("Price")} == {
        "Price Denmark [DKK]": "1",
        "Price denmark [DKK]": "2",
    }


async def test_every_product_fits_into_the_columns_of_the_widest(shop: Shop) -> None:
    await shop.load(
        table(
            variant("a", "A", Image_1_Url="1", Image_2_Url="2", Image_3_Url="3", Price_USD="", Price_EUR="2"),
            variant("b", "B", Image_1_Url="4", Image_2_Url="", Image_3_Url="", Price_USD="1", Price_EUR=""),
        )
    )
    rows = shop.exported(await shop.export(order="handle"))
    assert [[row[f"Image {n} Url"] for n in (1, 2, 3)] for row in rows] == [["1", "2", "3"], ["4", "", ""]]
    assert [[row["Price EUR"], row["Price USD"]] for row in rows] == [["2", ""], ["", "1"]]


async def test_what_was_added_after_looking_ahead_fits_too(shop: Shop) -> None:
    await shop.load(table(variant("a", "A", Image_1_Url="1")))
    job = FakeJob(ProductExport(), {}, shop.services)
    await job.prepare()
    await job.pre_process()
    await shop.load(table(variant("b", "B", Image_1_Url="1", Image_2_Url="2", Price_USD="3")))

    await job.process()

    assert {row["Product Handle"]: row["Image 2 Url"] for row in shop.exported(job)} == {"a": "", "b": "2"}
    assert job.context["shape"]["dynamicImageColumnCount"] == 2
    assert job.result["count"] == job.result["advancement_count"] == 2


async def test_an_export_of_nothing_is_a_header(shop: Shop) -> None:
    job = await shop.export()
    template = await ProductExport().build_template()
    assert shop.files.get(job.result["file_key"]) == template
    assert job.result["file_size"] == len(template)


async def test_nothing_but_the_file_is_left_behind(shop: Shop) -> None:
    await shop.load(table(*(variant(f"p-{n}") for n in range(25))))
    before = shop.files.all_keys()
    job = FakeJob(ProductExport(), {"order": "handle"}, shop.services)
    await job.prepare()
    await job.pre_process()
    await job.process()

    assert set(shop.files.all_keys()) - set(before) == {job.result["file_key"]}
    assert [row["Product Handle"] for row in shop.exported(job)] == sorted(f"p-{n}" for n in range(25))


async def test_two_exports_at_the_same_moment_have_files_of_their_own(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_293_527_084_000_000)
    keys = {(await shop.export()).result["file_key"] for _ in range(3)}
    assert len(keys) == 3
    assert all(key.startswith("exports/products/product-export-1795293527084") for key in keys)


# -- which products ----------------------------------------------------------------------------------------------------


async def handles(shop: Shop, **context: Any) -> list[str]:
    return [row["Product Handle"] for row in shop.exported(await shop.export(**context))]


@pytest.fixture
async def five(shop: Shop) -> Shop:
    """Products a to e; the later the letter the older, and every second one a draft."""
    await shop.catalog["products"].insert_many(
        [
            stool(
                _id=f"prod_{handle}",
                handle=handle,
                title=f"Title {'xyxyx'[n]}",
                status="draft" if n % 2 else "published",
                skus=[handle],
                created_at=THEN - timedelta(days=n),
                collection_id="pcol_spring" if n == 3 else None,
                tags=[{"id": "ptag_1", "value": "oak"}] if n == 4 else [],
                is_giftcard=n == 0,
            )
            for n, handle in enumerate("abcde")
        ]
    )
    return shop


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (None, "abcde"),
        ("created_at", "edcba"),
        ("-handle", "edcba"),
        ("id", "abcde"),
        ("title", "acebd"),
        ("-title", "dbeca"),
    ],
)
async def test_products_come_in_the_order_that_was_asked_for(five: Shop, order: str | None, expected: str) -> None:
    assert await handles(five, **({"order": order} if order else {})) == list(expected)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": ["draft"]}, "bd"),
        ({"status": "published"}, "ace"),
        ({"id": ["prod_b", "prod_e", "nope"]}, "be"),
        ({"handle": "c"}, "c"),
        ({"title": "Title y"}, "bd"),
        ({"collection_id": ["pcol_spring"]}, "d"),
        ({"tags": ["ptag_1"]}, "e"),
        ({"tags": ["oak"]}, "e"),
        ({"is_giftcard": True}, "a"),
        ({"q": "TITLE X"}, "ace"),
        ({"q": ".*"}, ""),
        ({"created_at": {"gte": "2024-05-05T07:08:09Z"}}, "ab"),
        ({"created_at": {"lt": "2024-05-04T07:08:09+00:00", "gt": "2024-05-02T07:08:09Z"}}, "d"),
        ({"status": "draft", "q": "title", "handle": ["a", "b"]}, "b"),
    ],
)
async def test_filters_narrow_an_export_down(five: Shop, fields: dict[str, Any], expected: str) -> None:
    assert await handles(five, filterable_fields=fields) == list(expected)


async def test_an_offset_skips_products_and_batch_size_limits_them(five: Shop) -> None:
    assert await handles(five, offset=1, batch_size=3) == ["b", "c", "d"]
    assert await handles(five, offset=4, batch_size=3) == ["e"]
    assert await handles(five, offset=9) == []
    assert await handles(five, batch_size=100) == list("abcde")
    assert await handles(five, limit=2) == list("abcde"), "limit is the size of a page, as in Medusa"


async def test_deleted_products_are_not_exported(five: Shop) -> None:
    await five.catalog["products"].update_one({"handle": "b"}, {"$set": {"deleted_at": THEN}})
    assert await handles(five) == ["a", "c", "d", "e"]
