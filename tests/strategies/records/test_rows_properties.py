"""Generated products and edits: a plan says exactly the edits, an export imports as nothing, and the opposite of what was
done can be worked out from plan and outcome, and restores the collection."""

from __future__ import annotations

import random
from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from tests.long import LONG
from tests.strategies.records.goods import Goods, Product, table
from tests.strategies.records.taking_back import same_apart_from_times, take_back

SEEDS: Final = range(200 if LONG else 8)
_REGIONS: Final = {"Price EUR": (None, "eur"), "Price Denmark [DKK]": ("reg_dk", "dkk")}


def _variant(chance: random.Random, product: str, n: int, options: list[str]) -> dict[str, Any]:
    id_ = f"v_{product}_{n}"
    prices = [
        {
            "id": f"ma_{id_}_{currency}",
            "currency_code": currency,
            "amount": chance.randrange(1, 9999),
            "region_id": region,
        }
        for region, currency in _REGIONS.values()
        if chance.random() < 0.6
    ]
    if chance.random() < 0.3:
        prices.append({"id": f"ma_{id_}_q", "currency_code": "eur", "amount": 1, "region_id": None, "min_quantity": 10})
    variant: dict[str, Any] = {
        "id": id_,
        "title": f"Variant {n}",
        "sku": f"{product}-{n}" if chance.random() < 0.8 else None,
        "stock": chance.randrange(100),
        "options": [{"id": f"ov_{id_}_{each}", "option_id": f"opt_{each}", "value": f"{each} {n}"} for each in options],
        "prices": prices,
    }
    if chance.random() < 0.2:
        variant |= {"deleted_at": datetime(2024, 1, 1, tzinfo=UTC), "id": id_ + "_gone"}
    if chance.random() < 0.2:
        del variant["prices"]
    return variant


def _products(chance: random.Random) -> list[dict[str, Any]]:
    found = []
    for number in range(6):
        options = chance.sample(["Size", "Colour", "Shape"], chance.randrange(1, 3))
        name = f"p{number}"
        product: dict[str, Any] = {
            "_id": f"prod_{name}",
            "handle": name,
            "title": f"Product {number}",
            "options": [{"id": f"opt_{each}", "title": each} for each in options],
            "variants": [_variant(chance, name, n, options) for n in range(chance.randrange(0, 4))],
        }
        if chance.random() < 0.5:
            product["revision"] = "one"
        found.append(product)
    return found


class _Edits:
    """Edits of the rows of an export, and what a plan has to say of them."""

    def __init__(self, chance: random.Random, rows: list[dict[str, str]]) -> None:
        self.chance = chance
        self.rows = rows
        self.changes: dict[tuple[str, str], Any] = {}
        """By product and path: the new value; of a price, its amount, or None if it goes."""
        self.added: dict[str, str] = {}
        """The titles of new variants, by product."""

    def make(self) -> None:
        for row in list(self.rows):
            if row["Variant Id"] and self.chance.random() < 0.6:
                kinds = (self.title, self.stock, self.sku, self.price, self.option)
                for kind in self.chance.sample(kinds, 2):
                    kind(row)
        for product in {row["Product Id"]: row for row in self.rows}.values():
            if self.chance.random() < 0.3:
                self.product_title(product)
            if self.chance.random() < 0.3:
                self.new_variant(product)

    def product_title(self, row: Mapping[str, str]) -> None:
        first, *later = [each for each in self.rows if each["Product Id"] == row["Product Id"]]
        first["Product Title"] += "!"
        for each in later:
            each["Product Title"] = self.chance.choice(["", first["Product Title"]])
        self.changes[row["Product Id"], "title"] = first["Product Title"]

    def new_variant(self, row: Mapping[str, str]) -> None:
        new = dict.fromkeys(row, "") | {"Product Handle": row["Product Handle"], "Variant Title": "New"}
        if row["Variant Id"]:
            for n in ("1", "2"):
                if name := row.get(f"Option {n} Name"):
                    new |= {f"Option {n} Name": name, f"Option {n} Value": "new"}
            self.rows.append(new | {"Product Id": row["Product Id"]})
            self.added[row["Product Id"]] = "New"

    def title(self, row: dict[str, str]) -> None:
        row["Variant Title"] += "!"
        self._changed(row, "title", row["Variant Title"])

    def stock(self, row: dict[str, str]) -> None:
        row["Variant Stock"] = str(int(row["Variant Stock"]) + 1000)
        self._changed(row, "stock", int(row["Variant Stock"]))

    def sku(self, row: dict[str, str]) -> None:
        new = "" if row["Variant SKU"] and self.chance.random() < 0.3 else f"new-{row['Variant Id']}"
        row["Variant SKU"] = new
        self._changed(row, "sku", new or None)

    def price(self, row: dict[str, str]) -> None:
        column = self.chance.choice([each for each in _REGIONS if each in row] or [""])
        if not column:
            return
        region, currency = _REGIONS[column]
        path = f"prices[{region or ''} {currency}]"
        if row[column]:
            amount = self.chance.choice([None, 123456])
            row[column] = "" if amount is None else "1234.56"
            self._changed(row, path if amount is None else f"{path}.amount", amount)
        else:
            row[column] = "7"
            self._changed(row, path, 700)

    def option(self, row: dict[str, str]) -> None:
        row["Option 1 Value"] += " other"
        self._changed(row, f"options[opt_{row['Option 1 Name']}].value", row["Option 1 Value"])

    def _changed(self, row: Mapping[str, str], path: str, value: Any) -> None:
        self.changes[row["Product Id"], f"variants[{row['Variant Id']}].{path}"] = value


def _said(line: Mapping[str, Any], revision: str | None) -> dict[tuple[str, str], Any]:
    """What a plan's update says, as `_Edits` has it."""
    said: dict[tuple[str, str], Any] = {}
    for path, change in line["changes"].items():
        new = change.get("new")
        if path.endswith(".prices"):  # the list was not there: one change of the whole
            said |= {
                (line["id"], f"{path}[{each['region_id'] or ''} {each['currency_code']}]"): each["amount"]
                for each in new
            }
        elif path.startswith("variants[variant_"):
            said[line["id"], "new"] = new["title"]
        else:
            said[line["id"], path] = new["amount"] if isinstance(new, dict) else new
    assert line.get("seen") == revision
    return said


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_plan_says_exactly_the_edits_and_its_opposite_restores_the_collection(goods: Goods, seed: int) -> None:
    chance = random.Random(seed)
    products = _products(chance)
    await goods.services.catalog["products"].insert_many(deepcopy(products))
    revisions = {each["_id"]: each.get("revision") for each in products}
    before = {each["_id"]: same_apart_from_times(each) for each in await goods.all("products")}

    again = await goods.load(await goods.exported())
    assert {line["op"] for line in goods.lines(again, "PLAN")} == {"unchanged"}

    edits = _Edits(chance, await goods.lines_exported())
    edits.make()
    job = await goods.planned(table(*edits.rows))
    said: dict[tuple[str, str], Any] = {}
    for line in goods.lines(job, "PLAN"):
        if line["op"] == "update":
            said |= _said(line, revisions[line["id"]])
        else:
            assert line["op"] == "unchanged"
    assert said == edits.changes | {(product, "new"): title for product, title in edits.added.items()}

    await job.process()
    exported = [row for row in await goods.lines_exported() if row["Variant Title"] != "New"]
    wanted = [row for row in edits.rows if row["Variant Title"] != "New"]
    columns = {name for row in wanted for name in row} - {"Product Title"}
    assert [{name: row.get(name, "") for name in columns} for row in exported] == [
        {name: row.get(name, "") for name in columns} for row in wanted
    ]

    await take_back(job, Product)
    after = {each["_id"]: same_apart_from_times(each) for each in await goods.all("products")}
    assert after == before


async def test_the_opposite_of_creating_and_deleting(goods: Goods) -> None:
    await goods.services.catalog["products"].insert_many(_products(random.Random(1)))
    before = [same_apart_from_times(each) for each in await goods.all("products")]
    content = "Product Handle,Product Title,Variant Title,_delete\np0,,,TRUE\nnew,New,One,\n"
    job = await goods.load(content)
    assert job.result["outcome"] == {"deleted": 1, "created": 1}
    await take_back(job, Product)
    living = [each for each in await goods.all("products") if each.get("deleted_at") is None]
    assert [same_apart_from_times(each) for each in living] == before
