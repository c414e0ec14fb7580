"""Generated products in several formats: to import their export changes nothing, a plan says exactly the edits, the mended
error file brings exactly the rest, and plan and outcome are enough to take it all back."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pytest

from batchbus_strategies.product_import import Product, ProductImport
from batchbus_strategies.records.paths import element_path
from batchbus_strategies.records.plan import decode
from batchbus_strategies.tables import Format, WriteOptions
from batchbus_strategies.testing import FakeJob
from tests.long import LONG
from tests.strategies.records.generated import REGIONS, Made, make_products
from tests.strategies.records.taking_back import same_apart_from_times, take_back
from tests.strategies.shop import THEN, Shop
from tests.strategies.table_files import put_rows, rows_of

SEEDS: Final = range(40 if LONG else 1)
_FORMATS: Final[Sequence[Format]] = ("csv", "xlsx", "jsonl")
_NEW: Final = {
    "Product Handle": "=new, from a file",
    "Product Title": "-New",
    "Product Type": "@Type that there was not",
    "Variant Title": "'One",
    "Price JPY": "3",
    "Price Kuwait [KWD]": "1.005",
}

Cells = dict[str, str]
Change = tuple[str, str]
"""A column, and what is in it."""


@pytest.mark.parametrize("format_", _FORMATS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_edits_with_mistakes_are_right_after_two_uploads(shop: Shop, seed: int, format_: Format) -> None:
    chance = random.Random(seed)
    await shop.catalog["regions"].delete_many({})
    await shop.catalog["regions"].insert_many([dict(region) for region in REGIONS])
    await shop.catalog["products"].insert_many(_products(chance, large=LONG and seed == 0))
    before = await shop.products()

    exported = await _exported(shop, format_)
    again = await _load(shop, exported, format_)
    assert (again.errors, again.result["count"], await shop.products()) == ([], 0, before)

    edits = _Edits(chance, exported, before)
    job = await _load(shop, [*edits.with_mistakes, _NEW], format_, on_error="skip")
    assert _planned(shop, job) == edits.changes(lambda variant: variant not in edits.mistakes)
    assert (len(job.errors), job.result["outcome"]["created"]) == (len(edits.mistakes), 1)
    left = await rows_of(shop.files, job.result["files"]["ERRORS"])
    assert {row["Variant Id"] for row in left} == edits.mistakes.keys()

    mended = [row | dict([edits.mistakes[row["Variant Id"]]]) for row in left]
    rest = await _load(shop, mended, format_)
    assert (_planned(shop, rest), rest.errors) == (edits.changes(lambda variant: variant in edits.mistakes), [])
    now = [row for row in await _exported(shop, format_) if row["Product Handle"] != _NEW["Product Handle"]]
    assert [_said(row) for row in now] == [_said(row) for row in edits.rows]

    await take_back(rest, Product, ProductImport.plan_form)
    await take_back(job, Product, ProductImport.plan_form)
    after = [each for each in await shop.products() if each.get("deleted_at") is None]
    assert [same_apart_from_times(each) for each in after] == [same_apart_from_times(each) for each in before]
    assert await shop.catalog["product_types"].count_documents({"value": _NEW["Product Type"]}) == 0


class _Edits:
    """Edits of the rows of an export, some of which are mistakes."""

    def __init__(self, chance: random.Random, rows: Sequence[Cells], products: Sequence[Mapping[str, Any]]) -> None:
        self.rows = [dict(row) for row in rows]
        """As they should be."""
        self._variants = {each["id"]: each for product in products for each in product["variants"]}
        self._changes: dict[str, Change] = {}
        for row in chance.sample(self.rows, max(2, len(rows) // 2)):
            self._edit(chance, row)
        self.with_mistakes = [dict(row) for row in self.rows]
        self.mistakes: dict[str, Change] = {}
        """By variant: the column with the mistake, and what should be in it."""
        for variant in [each for n, each in enumerate(self._changes) if n == 0 or (n > 1 and chance.random() < 0.4)]:
            row = next(each for each in self.with_mistakes if each["Variant Id"] == variant)
            column, wrong = chance.choice([("Variant Inventory Quantity", "many"), ("Variant Weight", "1,5")])
            self.mistakes[variant] = column, row[column]
            row[column] = wrong

    def _edit(self, chance: random.Random, row: Cells) -> None:
        made = Made(chance)
        column, value = chance.choice(
            [
                ("Variant Title", made.text("new title").strip()),
                ("Variant SKU", f"=new-{row['Variant Id']}"),
                ("Variant Inventory Quantity", "-7"),
                ("Price JPY", "1000000"),
                ("Price Kuwait [KWD]", "1000.125"),
            ]
        )
        self._changes[row["Variant Id"]] = column, value
        row[column] = value

    def changes(self, wanted: Any) -> dict[str, Any]:
        """By path, what the plan of the edits of those variants has as new; a price that comes has all of its fields."""
        return dict(
            self._change(variant, column, value)
            for variant, (column, value) in self._changes.items()
            if wanted(variant)
        )

    def _change(self, variant: str, column: str, value: str) -> tuple[str, Any]:
        there = self._variants[variant]
        fields = {"Variant Title": "title", "Variant SKU": "sku", "Variant Inventory Quantity": "inventory_quantity"}
        if (name := fields.get(column)) is not None:
            new: object = int(value) if name == "inventory_quantity" else value
            return element_path("variants", variant, name), (there.get(name), new)
        identity, amount = (" jpy", 1_000_000) if column == "Price JPY" else ("reg_kw kwd", 1_000_125)
        prices = {f"{each['region_id'] or ''} {each['currency_code']}": each["amount"] for each in there["prices"]}
        path = element_path("prices", identity, "amount") if identity in prices else element_path("prices", identity)
        return element_path("variants", variant, path), (prices.get(identity), amount)


def _products(chance: random.Random, *, large: bool) -> list[dict[str, Any]]:
    """Those of any shop, with what a product has besides."""
    products = make_products(chance, large=large)
    for number, product in enumerate(products):
        made = Made(chance)
        product["tags"] = [{"id": f"tag_{n}", "value": value} for n, value in enumerate(product["tags"])]
        product |= {
            "created_at": THEN,
            "status": "published",
            "description": made.text("description"),
            "subtitle": chance.choice([None, "", made.text("subtitle")]),
            "weight": chance.choice([None, -1, 2.5, 1e-9]),
            "collection_id": chance.choice([None, "pcol_spring", "pcol_gone"]),
            "images": [{"id": f"img_{n}", "url": made.text(f"image {n}")} for n in range(chance.randrange(4))],
            "sales_channels": [{"id": each} for each in chance.sample(["sc_web", "sc_fair", "sc_gone"], 2)],
            "type": chance.choice([None, {"id": f"ptyp_{number}", "value": made.text("type")}]),
        }
        for variant in product["variants"]:
            variant["inventory_quantity"] = variant.pop("stock")
        if skus := [each["sku"] for each in product["variants"] if each["sku"]]:
            product["skus"] = skus
    return products


def _planned(shop: Shop, job: FakeJob[Any]) -> dict[str, Any]:
    """What the plan says of all products that are there, by path: what is old, and what is new of it."""
    lines = [decode(line, ProductImport.plan_form) for line in shop.files.get(job.result["files"]["PLAN"]).splitlines()]
    changes = [each["changes"] for each in lines if each["op"] == "update"]
    return {
        path: (change.get("old"), new["amount"] if isinstance(new := change.get("new"), Mapping) else new)
        for each in changes
        for path, change in each.items()
    }


def _said(row: Mapping[str, str]) -> Cells:
    return {name: cell for name, cell in row.items() if cell}


async def _exported(shop: Shop, format_: Format) -> list[Cells]:
    job = await shop.export(order="id", format=format_)
    return await rows_of(shop.files, job.result["file_key"])


async def _load(shop: Shop, rows: Sequence[Cells], format_: Format, **context: Any) -> FakeJob[Any]:
    key = await put_rows(shop.files, f"uploads/edited.{format_}", rows, WriteOptions(format=format_))
    return await shop.load_file(key, **context)
