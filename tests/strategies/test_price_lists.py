"""`price-list-import`: the prices of one list, replaced as a whole by what a file says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic_core import from_json

from batchbus_strategies import JobRefused, Json, StrategyError
from batchbus_strategies.price_lists import PriceListImport
from batchbus_strategies.records import RecordsRefused
from batchbus_strategies.testing import FakeJob, StrategyContract
from tests.strategies.shop import Shop, stool

HEADER = "Product Variant ID,SKU,Price USD,Price Europe [EUR], Price JPY\n"
"""Blanks around a name do not matter, as in Medusa's own sample."""


def listed(variant_id: str, currency: str, amount: int, region: str | None = None, **more: Any) -> dict[str, Any]:
    """A price in a list, without its id."""
    return {
        "variant_id": variant_id,
        "currency_code": currency,
        "amount": amount,
        "region_id": region,
        "min_quantity": None,
        "max_quantity": None,
        **more,
    }


class PriceLists:
    """A shop with three variants and one price list, and imports into it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def furnish(self) -> None:
        for name in ("products", "price_lists"):
            await self.shop.catalog[name].delete_many({})
        large = stool()["variants"][0]
        variants = [
            large,
            {**large, "id": "variant_m", "sku": "M"},
            {**large, "id": "variant_s", "sku": None},
            {**large, "id": "variant_old", "sku": "OLD", "deleted_at": "2020"},
        ]
        await self.shop.catalog["products"].insert_one(stool(variants=variants))
        prices = [
            {"id": "ma_1", **listed("variant_stool_l", "usd", 900)},
            {"id": "ma_2", **listed("variant_stool_l", "eur", 800, min_quantity=10)},
            {"id": "ma_3", **listed("variant_s", "usd", 700)},
        ]
        await self.shop.catalog["price_lists"].insert_one({"_id": "pl_1", "name": "Summer", "prices": prices})

    def job(self, content: str, **context: Json) -> FakeJob[Any]:
        key = self.shop.files.put("uploads/p.csv", content.encode())
        return FakeJob(PriceListImport(), {"fileKey": key, "price_list_id": "pl_1", **context}, self.shop.services)

    async def run(self, content: str, **context: Json) -> FakeJob[Any]:
        job = self.job(content, **context)
        await job.prepare()
        await job.pre_process()
        await job.process()
        return job

    async def prices(self) -> list[dict[str, Any]]:
        """Without their ids."""
        found = await self.shop.catalog["price_lists"].find_one({"_id": "pl_1"})
        assert found is not None
        return [{name: value for name, value in price.items() if name != "id"} for price in found["prices"]]

    def lines(self, job: FakeJob[Any], name: str) -> list[Mapping[str, Any]]:
        return [from_json(line) for line in self.shop.files.get(job.result["files"][name]).splitlines()]


@pytest.fixture
async def lists(shop: Shop) -> PriceLists:
    lists = PriceLists(shop)
    await lists.furnish()
    return lists


async def test_all_prices_of_the_list_are_those_of_the_file(lists: PriceLists) -> None:
    job = await lists.run(HEADER + "variant_stool_l,,11.11,22.22,3333\n,M,44.445,,\n")
    assert await lists.prices() == [
        listed("variant_stool_l", "usd", 1111),
        listed("variant_stool_l", "eur", 2222, "reg_eu"),
        listed("variant_stool_l", "jpy", 3333),
        listed("variant_m", "usd", 4445),
    ]
    assert (job.result["count"], job.result["advancement_count"]) == (2, 2)
    assert job.result["stat_descriptors"] == [
        {"key": "price-list-import-count", "name": "PriceList to import", "message": "4 prices will be added"}
    ]
    assert job.result["outcome"] == {"updated": 1, "created": 1, "deleted": 1}
    (found,) = await lists.shop.catalog["price_lists"].find().to_list(None)
    assert (found["name"], found["revision"]) == ("Summer", f"{job.id}:1")
    assert found["prices"][0]["id"] == "ma_1", "a price that stays keeps its id"
    assert found["prices"][1]["id"].startswith("ma_")


async def test_the_plan_has_old_and_new_prices_of_each_variant(lists: PriceLists) -> None:
    job = await lists.run(HEADER + "variant_stool_l,,11,,\n,M,4,,\n")
    update, create, delete = lists.lines(job, "PLAN")
    assert (update["op"], update["id"], update["line"]) == ("update", "variant_stool_l", 2)
    assert [price["amount"] for price in update["changes"]["prices"]["old"]] == [900, 800]
    assert [price["amount"] for price in update["changes"]["prices"]["new"]] == [1100]
    assert (create["op"], create["key"]) == ("create", ["M"])
    assert (delete["op"], delete["id"], delete["document"]["prices"][0]["id"]) == ("delete", "variant_s", "ma_3")
    assert len(job.result["plan_digest"]) == 64
    assert job.result["operations"] | {"create": 1, "update": 1, "delete": 1} == job.result["operations"]


async def test_the_same_file_again_changes_nothing(lists: PriceLists) -> None:
    content = HEADER + "variant_stool_l,STOOL-L,11.11,22.22,3333\n,M,44.445,,\n"
    await lists.run(content)
    before = await lists.shop.catalog["price_lists"].find().to_list(None)
    job = await lists.run(content)
    assert job.result["outcome"] == {"unchanged": 2}
    assert await lists.shop.catalog["price_lists"].find().to_list(None) == before


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"price_list_id": None}, "Price list id is required"),
        ({"price_list_id": ""}, "Price list id is required"),
        ({"price_list_id": "pl_9"}, "There is no price list with the id pl_9"),
    ],
)
async def test_a_job_without_a_price_list_is_refused(lists: PriceLists, context: Any, message: str) -> None:
    with pytest.raises(JobRefused, match=message) as refused:
        await lists.job(HEADER, **context).prepare()
    assert refused.value.field == "price_list_id"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("SKU", "there is no price column"),
        ("Price EUR", 'there is no column "SKU"'),
        ("SKU,Price Nowhere [EUR]", "there is no region named Nowhere"),
        ("SKU,Price Japan [EUR]", "Japan has the currency JPY"),
        ("SKU,Price EUR,Price EUR", "two columns"),
        ("SKU,Price EUR,Colour", 'unknown column "Colour"'),
    ],
)
async def test_a_header_that_leaves_a_doubt_is_refused_before_there_is_a_job(
    lists: PriceLists, header: str, message: str
) -> None:
    with pytest.raises(JobRefused, match=message):
        await lists.job(f"{header}\n").prepare()


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (",,1,,", None, "SKU or ID is required"),
        ("variant_9,,1,,", "Product Variant ID", "there is no variant with this id"),
        (",NONE,1,,", "SKU", "there is no variant with this SKU"),
        (",OLD,1,,", "SKU", "there is no variant with this SKU"),
        ("variant_m,STOOL-L,1,,", "SKU", "the variant with this id has the SKU M"),
        (",M,much,,", "Price USD", "not an amount"),
        ("variant_stool_l,,1,,", None, "line 2 is about the same variant already"),
    ],
)
async def test_a_row_that_cannot_be_used_is_told_with_its_place_and_nothing_is_applied(
    lists: PriceLists, row: str, column: str | None, message: str
) -> None:
    before = await lists.prices()
    job = lists.job(HEADER + f",STOOL-L,1,,\n{row}\n")
    await job.prepare()
    with pytest.raises(RecordsRefused):
        await job.pre_process()
    (error,) = job.errors
    assert (error.line, error.column) == (3, column)
    assert message in error.message
    assert await lists.prices() == before


async def test_a_variant_whose_row_is_skipped_keeps_its_prices_and_the_mended_error_file_is_the_whole_list(
    lists: PriceLists,
) -> None:
    job = await lists.run(HEADER + "variant_s,,much,,\n,M,4,,\n", on_error="skip")
    assert await lists.prices() == [listed("variant_s", "usd", 700), listed("variant_m", "usd", 400)]
    assert job.result["outcome"] == {"refused": 1, "created": 1, "deleted": 1}
    errors = lists.shop.files.get(job.result["files"]["ERRORS"]).decode()
    assert errors.count("\n") == 3
    again = await lists.run(errors.replace(",much,", ",5,"))
    assert again.result["outcome"] == {"updated": 1, "unchanged": 1}
    assert sorted(price["amount"] for price in await lists.prices()) == [400, 500]


async def test_a_list_that_somebody_has_changed_since_the_plan_is_left_alone(lists: PriceLists) -> None:
    job = lists.job(HEADER + ",M,4,,\n")
    await job.prepare()
    await job.pre_process()
    await lists.shop.catalog["price_lists"].update_one({"_id": "pl_1"}, {"$set": {"prices.0.amount": 1}})
    before = await lists.prices()
    with pytest.raises(StrategyError, match="has been changed since the plan was made"):
        await job.process()
    assert await lists.prices() == before


async def test_a_limit_holds_for_variants_that_would_lose_their_prices(lists: PriceLists) -> None:
    job = lists.job(HEADER + ",M,4,,\n", max_deletes=1)
    await job.prepare()
    with pytest.raises(RecordsRefused, match="would delete 2 records, and the limit is 1"):
        await job.pre_process()


async def test_many_variants_are_found_in_the_whole_catalogue(lists: PriceLists) -> None:
    rows = "".join(f"variant_{number},,1,,\n" for number in range(300))
    job = await lists.run(HEADER + ",M,4,,\n" + rows, on_error="skip")
    assert job.result["outcome"] == {"created": 1, "refused": 300, "deleted": 2}


class TestPriceListImport(StrategyContract):
    """A changed variant, a new one, one that loses its prices, and a row that is wrong."""

    @pytest.fixture(autouse=True)
    def _lists(self, lists: PriceLists) -> None:
        self.lists = lists

    async def new_job(self) -> FakeJob[Any]:
        await self.lists.furnish()
        return self.lists.job(HEADER + "variant_stool_l,,1,2,3\n,M,4,,\n,NONE,1,,\n", on_error="skip")

    async def outcome(self, job: FakeJob[Any]) -> object:
        told = self.lists.lines(job, "OUTCOME") if "OUTCOME" in job.result.get("files", {}) else []
        return [await self.lists.prices(), [{**line, "revision": None} for line in told]]
