"""What others do to the elements of a record between a plan and its application: beside it, it stays; on the same, it wins."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

import pytest
from pymongo import UpdateOne

from batchbus_strategies.records.merging import merged
from batchbus_strategies.records.plan import Update
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.goods import Goods, stool, table

ROW = {"Product_Handle": "stool", "Option_1_Name": "Size"}
CHANGES = table(
    ROW | {"Variant_Id": "v_L", "Variant_Title": "Large", "Variant_SKU": "STOOL-L", "Price EUR": "12.50"},
    ROW | {"Variant_Title": "XL", "Variant_SKU": "STOOL-XL", "Option_1_Value": "XL", "Price EUR": "15"},
)


async def _planned(goods: Goods, content: str = CHANGES, **changes: Any) -> FakeJob[Any]:
    await goods.services.catalog["products"].insert_one(stool(**changes))
    return await goods.planned(content, on_error="skip")


async def _they(goods: Goods, change: Mapping[str, Any]) -> None:
    await goods.services.catalog["products"].update_one({"_id": "prod_stool"}, change)


async def test_others_may_reorder_add_and_change_what_the_file_does_not(goods: Goods) -> None:
    job = await _planned(goods)
    product = stool()
    small, large = product["variants"]
    small["stock"] = 99
    large["prices"].append({"id": "ma_q", "currency_code": "eur", "amount": 900, "min_quantity": 10})
    large["ean"] = "theirs"
    theirs = deepcopy(small) | {"id": "v_M", "title": "M", "sku": "M", "options": []}
    await _they(goods, {"$set": {"variants": [large, theirs, small], "title": "Theirs"}})
    await job.process()
    assert job.result["outcome"] == {"updated": 1}
    found = await goods.product()
    assert found["title"] == "Theirs"
    assert [each["title"] for each in found["variants"]] == ["Large", "M", "S", "XL"]
    assert (found["variants"][0]["ean"], found["variants"][2]["stock"]) == ("theirs", 99)
    assert [(each["amount"], each.get("min_quantity")) for each in found["variants"][0]["prices"]] == [
        (1250, None),
        (900, 10),
    ]
    assert found["skus"] == ["STOOL-L", "M", "STOOL-S", "STOOL-XL"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"$set": {"variants.1.title": "Theirs"}}, "its variant v_L has another title"),
        ({"$set": {"variants.1.prices.0.amount": 1}}, "its variant v_L has another value  eur"),
        ({"$set": {"variants.1.deleted_at": "now"}}, "its variant v_L has been deleted"),
        ({"$set": {"variants.1.prices": []}}, "its variant v_L has another value  eur"),
        ({"$pull": {"variants": {"id": "v_L"}}}, "its variant v_L has been deleted"),
        ({"$set": {"variants.0.sku": "STOOL-XL"}}, "another of its variants has got the same sku"),
        ({"$set": {"deleted_at": "now"}}, "it has been deleted"),
    ],
)
async def test_what_others_did_to_the_same_is_a_conflict_and_nothing_of_the_record_is_written(
    goods: Goods, change: Mapping[str, Any], reason: str
) -> None:
    job = await _planned(goods)
    await _they(goods, change)
    before = await goods.all("products")
    await job.process()
    assert job.result["outcome"] == {"conflict": 1}
    assert reason in job.kept.errors[0].message
    assert await goods.all("products") == before


async def test_a_revision_that_has_moved_on_is_a_conflict(goods: Goods) -> None:
    job = await _planned(goods, revision="one")
    await _they(goods, {"$set": {"revision": "two"}})
    await job.process()
    assert "it has been changed since the plan was made" in job.kept.errors[0].message


async def test_who_has_done_the_same_is_in_nobodys_way(goods: Goods) -> None:
    job = await _planned(goods)
    await _they(goods, {"$set": {"variants.1.title": "Large", "variants.1.prices.0.amount": 1250}})
    await job.process()
    assert job.result["outcome"] == {"updated": 1}
    assert len((await goods.product())["variants"]) == 3


class _InBetween:
    """Somebody else, who writes behind our back when the document has been read already."""

    def __init__(self, goods: Goods, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, Any], times: int) -> None:
        self._goods = goods
        self._change = change
        self._times = times
        monkeypatch.setattr("batchbus_strategies.records.applying.merged", self)

    def __call__(self, update: Update, document: dict[str, Any], schema: Schema, now: datetime) -> UpdateOne | None:
        request = merged(update, document, schema, now)
        self._times -= 1
        if self._times >= 0:
            self._goods.services.catalog.delegate["products"].update_one({"_id": "prod_stool"}, self._change)
        return request


THEIRS = {"id": "v_theirs", "title": "Theirs", "prices": [], "options": []}
QUANTITY = {"id": "ma_q", "currency_code": "eur", "amount": 900, "min_quantity": 10}


@pytest.mark.parametrize(
    ("change", "titles"),
    [
        ({"$push": {"variants": THEIRS}}, ["S", "Large", "Theirs", "XL"]),
        ({"$set": {"variants": stool()["variants"][::-1]}}, ["Large", "S", "XL"]),
        ({"$push": {"variants.1.prices": QUANTITY}}, ["S", "Large", "XL"]),
        ({"$set": {"variants.0.title": "Small"}}, ["Small", "Large", "XL"]),
        ({"$set": {"skus": ["theirs"]}}, ["S", "Large", "XL"]),
    ],
)
async def test_what_comes_between_reading_and_writing_is_read_again(
    goods: Goods, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, Any], titles: list[str]
) -> None:
    job = await _planned(goods)
    _InBetween(goods, monkeypatch, change, times=1)
    await job.process()
    assert job.result["outcome"] == {"updated": 1}
    found = await goods.product()
    assert [each["title"] for each in found["variants"]] == titles
    (large,) = [each for each in found["variants"] if each["id"] == "v_L"]
    prices = [price["amount"] for price in large["prices"]]
    assert prices == ([1250, 900] if "variants.1.prices" in change.get("$push", ()) else [1250])
    assert found["skus"] == ["STOOL-L", "STOOL-S", "STOOL-XL"] or found["skus"] == ["STOOL-S", "STOOL-L", "STOOL-XL"]


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"variants.1.title": "Theirs"}},
        {"$set": {"variants.1.prices.0.amount": 1}},
        {"$set": {"revision": "x"}},
    ],
)
async def test_the_same_change_between_reading_and_writing_is_a_conflict(
    goods: Goods, monkeypatch: pytest.MonkeyPatch, change: Mapping[str, Any]
) -> None:
    job = await _planned(goods, revision="one")
    _InBetween(goods, monkeypatch, change, times=1)
    await job.process()
    assert job.result["outcome"] == {"conflict": 1}
    assert [each["id"] for each in (await goods.product())["variants"]] == ["v_S", "v_L"]


async def test_a_field_of_the_record_is_filtered_on_in_the_same_write(
    goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "Product Handle,Product Title,Variant Id,Variant Title\nstool,Chair,v_L,Large\n"
    job = await _planned(goods, content)
    _InBetween(goods, monkeypatch, {"$set": {"title": "Theirs"}}, times=1)
    await job.process()
    assert "it has another title than when the plan was made" in job.kept.errors[0].message
    found = await goods.product()
    assert (found["title"], found["variants"][1]["title"]) == ("Theirs", "L")


async def test_others_who_write_again_and_again_are_a_conflict_in_the_end(
    goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await _planned(goods)
    _InBetween(goods, monkeypatch, {"$push": {"variants": THEIRS}}, times=100)
    await job.process()
    assert job.result["outcome"] == {"conflict": 1}
    assert "again and again" in job.kept.errors[0].message


async def test_flat_fields_of_such_a_record_are_written_without_reading_it(
    goods: Goods, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await _planned(goods, "Product Handle,Product Title\nstool,Chair\n")
    monkeypatch.setattr("batchbus_strategies.records.applying.merged", None)
    await job.process()
    assert (await goods.product())["title"] == "Chair"
