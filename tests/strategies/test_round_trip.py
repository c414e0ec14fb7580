"""Importing an export changes nothing, whatever is in the catalogue."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchbus_strategies.testing import FakeJob
from tests.strategies.shop import CATEGORIES, CHANNELS, COLLECTIONS, THEN, Shop, table, timeless, variant

ODD_REGIONS: list[dict[str, Any]] = [
    {"_id": "reg_kw", "name": "Kuwait", "currency_code": "kwd"},
    {"_id": "reg_brackets", "name": "North [EUR]", "currency_code": "eur"},
    {"_id": "reg_code", "name": "EUR", "currency_code": "eur"},
    {"_id": "reg_spaces", "name": "  South ", "currency_code": "eur"},
    {"_id": "reg_marks", "name": 'a;b,"c"\nd', "currency_code": "eur"},
    {"_id": "reg_twin_1", "name": "Twin", "currency_code": "eur"},
    {"_id": "reg_twin_2", "name": "Twin", "currency_code": "eur"},
    {"_id": "reg_twin_3", "name": "TWIN", "currency_code": "jpy"},
]
PRICES = [
    *((None, currency) for currency in ("eur", "usd", "jpy", "bhd")),
    ("reg_eu", "eur"),
    ("reg_jp", "jpy"),
    ("reg_dk", "dkk"),
    ("reg_dk_lower", "dkk"),
    *((region["_id"], region["currency_code"]) for region in ODD_REGIONS),
    ("reg_eu", "usd"),  # from before the region's currency was changed
    ("reg_gone", "eur"),
]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(
    [
        "=1+1",
        "+49",
        "-1",
        "@a",
        "\tx",
        "\rx",
        "\0x",
        "'=1",
        "''+",
        "'tis",
        "007",
        "TRUE",
        'a "b"',
        "a\nb",
        "a\r\nb",
        "a;b",
    ]
)
names = texts.filter(lambda text: bool(text.strip()))
measures = st.none() | st.integers(-10, 10**9) | st.floats(-1e9, 1e9, allow_nan=False)
optional = st.none() | texts | st.just("")


def some(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, max_size=most, unique_by=repr)


@st.composite
def prices(draw: st.DrawFn) -> list[dict[str, Any]]:
    keys = draw(some(st.sampled_from(PRICES), 6))
    return [
        {
            "id": f"ma_{n}",
            "region_id": region,
            "currency_code": currency,
            "amount": draw(st.integers(0, 10**9)),
            "min_quantity": draw(st.sampled_from([None, None, None, 5])),
            "max_quantity": None,
            "price_list_id": draw(st.sampled_from([None, None, None, "pl_1"])),
        }
        for n, (region, currency) in enumerate(keys)
    ]


@st.composite
def products(draw: st.DrawFn) -> dict[str, Any]:
    """A product as it may be in the catalogue, its unique keys apart."""
    options = [{"id": f"opt_{n}", "title": title} for n, title in enumerate(draw(some(names)))]
    return {
        "title": draw(names),
        "subtitle": draw(optional),
        "description": draw(optional),
        "status": draw(st.sampled_from(["draft", "published"])),
        "thumbnail": draw(optional),
        "weight": draw(measures),
        "height": draw(measures),
        "hs_code": draw(optional),
        "material": draw(optional),
        "collection_id": draw(st.sampled_from([None, "pcol_gone", *(each["_id"] for each in COLLECTIONS)])),
        "type": draw(st.none() | st.builds(lambda value: {"id": "ptyp_1", "value": value}, texts)),
        "discountable": draw(st.booleans()),
        "external_id": draw(optional),
        "options": options,
        "images": [{"id": f"img_{n}", "url": url} for n, url in enumerate(draw(some(texts)))],
        "tags": [{"id": f"ptag_{n}", "value": value} for n, value in enumerate(draw(some(texts)))],
        "sales_channels": [{"id": each} for each in draw(some(st.sampled_from(["sc_gone", *ids(CHANNELS)])))],
        "categories": [{"id": each} for each in draw(some(st.sampled_from(["pcat_gone", *ids(CATEGORIES)])))],
        "created_at": THEN,
        "updated_at": THEN,
        "variants": [
            {
                "id": draw(st.uuids()).hex,
                "title": draw(names),
                "inventory_quantity": draw(st.integers(-10, 10**6)),
                "allow_backorder": draw(st.booleans()),
                "manage_inventory": draw(st.booleans()),
                "weight": draw(measures),
                "origin_country": draw(optional),
                "prices": draw(prices()),
                "options": [
                    {"id": f"optval_{option['id']}", "option_id": option["id"], "value": draw(texts)}
                    for option in options
                    if draw(st.booleans())
                ],
            }
            for _ in range(draw(st.integers(1, 3)))
        ],
    }


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return [document["_id"] for document in documents]


def with_keys(found: list[dict[str, Any]], handles: list[str], skus: list[str]) -> list[dict[str, Any]]:
    """Give every product a handle, and some variants a SKU, that no other has."""
    left = iter(skus)
    for n, (product, handle) in enumerate(zip(found, handles, strict=True)):
        product |= {"_id": f"prod_{n}", "handle": handle}
        for each in product["variants"]:
            if sku := next(left, None):
                each["sku"] = sku
        if own := [each["sku"] for each in product["variants"] if "sku" in each]:
            product["skus"] = own
    return found


catalogues = st.integers(1, 3).flatmap(
    lambda count: st.builds(
        with_keys,
        st.lists(products(), min_size=count, max_size=count),
        st.lists(names, min_size=count, max_size=count, unique=True),
        some(texts, 4),
    )
)

many = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def export_and_plan(shop: Shop) -> FakeJob[Any]:
    export = await shop.export()
    return await shop.plan(shop.files.get(export.result["file_key"]))


async def prepare(shop: Shop) -> None:
    await shop.catalog["products"].delete_many({})
    await shop.catalog["regions"].delete_many({"_id": {"$in": ids(ODD_REGIONS)}})
    await shop.catalog["regions"].insert_many([dict(region) for region in ODD_REGIONS])


@many
@given(catalogues)
async def test_importing_an_export_plans_nothing(shop: Shop, catalogue: list[dict[str, Any]]) -> None:
    await prepare(shop)
    await shop.catalog["products"].insert_many(catalogue)

    plan = await export_and_plan(shop)

    assert shop.files.get(plan.result["files"]["PLAN"]) == b""
    assert plan.result["count"] == 0
    assert plan.errors == []


@many
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "Product Handle": st.sampled_from(["a", "b"]),
                "Product Title": names,
                "Product Description": st.just("") | texts,
                "Product Type": st.just("") | texts,
                "Product Tags": st.just("") | texts,
                "Product Weight": st.just("") | st.decimals(0, 1000, places=3).map(str),
                "Variant Title": names,
                "Price Europe [EUR]": st.just("") | st.decimals(0, 1000, places=4).map(str),
                "Price Kuwait [KWD]": st.just("") | st.decimals(0, 1000, places=4).map(str),
                "Price JPY": st.just("") | st.decimals(0, 1000, places=1).map(str),
                "Option 1 Name": st.just("Size"),
                "Option 1 Value": names,
                "Image 1 Url": st.just("") | texts,
            }
        ),
        min_size=1,
        max_size=4,
        # The variants of a product differ in their options; an apostrophe in front is that of a guarded formula.
        unique_by=lambda row: (row["Product Handle"], row["Option 1 Value"].strip().lstrip("'")),
    )
)
async def test_importing_the_export_of_an_import_plans_nothing(shop: Shop, rows: list[dict[str, str]]) -> None:
    await prepare(shop)
    await shop.load(table(*rows, line_end="\r\n"))
    imported = await shop.products()

    plan = await export_and_plan(shop)
    await plan.process()

    assert plan.result["count"] == 0
    assert await shop.products() == imported


async def test_an_export_carries_changes_back(shop: Shop) -> None:
    await shop.load(table(variant("a", "A-1", Price_USD="1.5"), variant("b", "B-1", Price_USD="2")))
    export = await shop.export()
    before = await shop.products()
    changed = shop.files.get(export.result["file_key"]).replace(b";1.5", b";1.75").replace(b"B-1", b"B-2")

    job = await shop.load(changed)

    assert job.result["operations"] == {
        "PRODUCT_CREATE": 0,
        "PRODUCT_UPDATE": 0,
        "VARIANT_CREATE": 0,
        "VARIANT_UPDATE": 2,
    }
    before[0]["variants"][0]["prices"][0]["amount"] = 175
    before[1]["variants"][0]["sku"] = "B-2"
    before[1]["skus"] = ["B-2"]
    assert timeless(await shop.products(), ids=()) == timeless(before, ids=())
