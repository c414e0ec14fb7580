"""Looking records up: each value finds its record, however many there are, and queries stay small."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo.errors import OperationFailure

from batchbus_strategies import StrategyError, look_up, look_up_blocking
from batchbus_strategies.lookup import KEYS_IN_A_QUERY

Catalog = AsyncIOMotorDatabase[dict[str, Any]]


class Looking:
    """Both ways to look up."""

    def __init__(self, catalog: Catalog, *, blocking: bool) -> None:
        self.things = catalog["things"]
        self._blocking = blocking

    async def up(self, field: str, values: Iterable[Any], **how: Any) -> dict[Any, dict[str, Any]]:
        if self._blocking:
            return await asyncio.to_thread(lambda: look_up_blocking(self.things.delegate, field, values, **how))
        return await look_up(self.things, field, values, **how)


@pytest.fixture(params=["loop", "thread"])
async def looking(request: pytest.FixtureRequest, catalog: Catalog) -> Looking:
    await catalog["things"].create_index("sku")
    return Looking(catalog, blocking=request.param == "thread")


async def test_each_value_finds_its_record(looking: Looking) -> None:
    count = 5 * KEYS_IN_A_QUERY + 7
    await looking.things.insert_many([{"_id": n, "sku": f"S-{n}"} for n in range(count)])
    found = await looking.up("sku", (f"S-{n}" for n in range(0, 2 * count, 2)))
    assert found == {f"S-{n}": {"_id": n, "sku": f"S-{n}"} for n in range(0, count, 2)}


async def test_only_what_was_wanted_is_read(looking: Looking) -> None:
    await looking.things.insert_many(
        [{"_id": n, "sku": n, "a": {"b": 1, "c": 2}, "d": 3, "gone": n % 2 == 0} for n in range(4)]
    )
    found = await looking.up("sku", range(4), fields=["a.b"], where={"gone": False})
    assert found == {n: {"_id": n, "sku": n, "a": {"b": 1}} for n in (1, 3)}


async def test_the_field_itself_may_have_to_fulfil_more(looking: Looking) -> None:
    await looking.things.insert_many([{"_id": n, "sku": n} for n in range(4)])
    assert set(await looking.up("sku", range(4), where={"sku": {"$gt": 1}, "_id": {"$lt": 3}})) == {2}


async def test_a_record_stands_under_each_value_of_its_arrays(looking: Looking) -> None:
    record = {"_id": 1, "variants": [{"sku": "A"}, {"sku": "B"}, {"sku": ["C", "X"]}, {}], "tags": ["t"]}
    await looking.things.insert_one(record)
    found = await looking.up("variants.sku", ["A", "C", "D"])
    assert found == {"A": record, "C": record}
    assert await looking.up("tags", ["t", "u"], fields=["variants", "variants.sku"]) == {"t": record}


async def test_nothing_is_asked_for_no_values(looking: Looking) -> None:
    assert await looking.up("sku", []) == {}


async def test_none_is_no_value(looking: Looking) -> None:
    with pytest.raises(StrategyError, match="None is no value"):
        await looking.up("sku", ["A", None])


async def test_what_the_driver_raises_comes_as_it_is(looking: Looking) -> None:
    with pytest.raises(OperationFailure):
        await looking.up("sku", range(1000), where={"$bad": 1})


async def test_queries_are_small_and_few_at_once() -> None:
    at_once, most, sizes = 0, 0, list[int]()

    class Things:
        def find(self, query: dict[str, Any], _projection: object) -> Things:
            sizes.append(len(query["sku"]["$in"]))
            return self

        async def to_list(self, _length: None) -> list[dict[str, Any]]:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0)  # the other queries may begin
            at_once -= 1
            return []

    await look_up(cast(Any, Things()), "sku", [*range(1000), *range(1000)])
    assert sizes == [KEYS_IN_A_QUERY] * 10
    assert most == 4
