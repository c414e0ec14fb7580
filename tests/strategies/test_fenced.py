"""Fenced writes: whatever an older run still writes, and however often a step is repeated."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motor.motor_asyncio import AsyncIOMotorDatabase
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from batchbus_strategies import LeaseLost, RecordWrite, StrategyError, Written
from batchbus_strategies.fenced import MARK, FencedWriter

Catalog = AsyncIOMotorDatabase[dict[str, Any]]


class Runs:
    """Runs of one job, which write to one collection; blocking, if that is asked for."""

    def __init__(self, catalog: Catalog, *, blocking: bool) -> None:
        self.things = catalog["things"]
        self._blocking = blocking

    async def write(
        self,
        fence: int,
        key: Mapping[str, Any],
        *,
        step: int | None = None,
        job: str = "batch_1",
        update: Mapping[str, Any],
    ) -> Written:
        return await self.write_all(fence, [RecordWrite(key, update)], step=step, job=job)

    async def write_all(
        self, fence: int, records: list[RecordWrite], *, step: int | None = None, job: str = "batch_1"
    ) -> Written:
        writer = FencedWriter(job, fence)
        if self._blocking:
            return await asyncio.to_thread(writer.write_blocking, self.things.delegate, records, step)
        return await writer.write(self.things, records, step)

    async def thing(self, **key: Any) -> dict[str, Any]:
        found = await self.things.find_one(key)
        assert found is not None
        return {name: value for name, value in found.items() if name != MARK}


class Overtaken:
    """A collection into which somebody else puts `document` while the first write to it looks for that record."""

    def __init__(self, things: Any, document: dict[str, Any]) -> None:
        self._things = things
        self._document: dict[str, Any] | None = document

    def __getattr__(self, name: str) -> Any:
        return getattr(self._things, name)

    @property
    def delegate(self) -> Overtaken:
        return Overtaken(self._things.delegate, self._document or {})

    def bulk_write(self, updates: list[UpdateOne], *, ordered: bool) -> Any:
        document, self._document = self._document, None
        if not document:
            return self._things.bulk_write(updates, ordered=ordered)
        found = self._things.insert_one(document)
        return self._refuse_first(updates, found) if inspect.isawaitable(found) else self._refused(updates)

    async def _refuse_first(self, updates: list[UpdateOne], inserted: Any) -> None:
        await inserted
        try:
            await self._things.bulk_write(updates[1:], ordered=False)
        except BulkWriteError as error:
            raise self._with_the_first(error) from None

    def _refused(self, updates: list[UpdateOne]) -> None:
        try:
            self._things.bulk_write(updates[1:], ordered=False)
        except BulkWriteError as error:
            raise self._with_the_first(error) from None

    @staticmethod
    def _with_the_first(error: BulkWriteError) -> BulkWriteError:
        others = [{**each, "index": each["index"] + 1} for each in error.details["writeErrors"]]
        return BulkWriteError({"writeErrors": [{"index": 0, "code": 11000}, *others]})


def setting(**fields: Any) -> dict[str, Any]:
    return {"$set": fields}


@pytest.fixture(params=["async def", "def"])
def runs(request: pytest.FixtureRequest, catalog: Catalog) -> Runs:
    return Runs(catalog, blocking=request.param == "def")


async def test_what_a_newer_run_has_written_no_older_one_writes_any_more(runs: Runs) -> None:
    assert await runs.write(1, {"_id": "a"}, update=setting(by=1)) == Written(1, 0)
    assert await runs.write(2, {"_id": "a"}, update=setting(by=2)) == Written(1, 0)
    with pytest.raises(LeaseLost):
        await runs.write(1, {"_id": "a"}, update=setting(by=1))
    assert await runs.thing(_id="a") == {"_id": "a", "by": 2}
    assert await runs.write(2, {"_id": "a"}, update=setting(by="2 again")) == Written(1, 0)


async def test_each_step_takes_effect_once(runs: Runs) -> None:
    for fence, step in ((1, 0), (1, 1), (2, 1), (2, 0), (2, 2), (3, 2)):
        await runs.write(fence, {"_id": "a"}, step=step, update={"$inc": {"count": 1}})
    assert await runs.thing(_id="a") == {"_id": "a", "count": 3}


async def test_of_many_records_those_are_written_that_are_not_yet(runs: Runs) -> None:
    records = [RecordWrite({"_id": number}, {"$inc": {"count": 1}}) for number in range(10)]
    assert await runs.write_all(1, records[:4], step=7) == Written(4, 0)
    assert await runs.write_all(2, records, step=7) == Written(6, 4)
    assert await runs.write_all(2, [], step=7) == Written(0, 0)
    assert {thing["count"] for thing in await runs.things.find().to_list(None)} == {1}


async def test_another_job_writes_whatever_it_likes(runs: Runs) -> None:
    await runs.write(5, {"_id": "a"}, step=5, update=setting(by="one"))
    await runs.write(1, {"_id": "a"}, step=0, job="batch_2", update=setting(by="other"))
    assert (await runs.thing(_id="a"))["by"] == "other"


async def test_a_record_is_named_by_its_id_or_by_a_unique_index(runs: Runs) -> None:
    with pytest.raises(StrategyError, match="not named by sku"):
        await runs.write(1, {"sku": "x"}, update=setting(by=1))
    await runs.things.create_index("sku", unique=True)
    await runs.things.create_index("color")
    await runs.write(1, {"sku": "x"}, step=1, update=setting(by=1))
    await runs.write(2, {"sku": "x"}, step=2, update=setting(by=2))
    with pytest.raises(LeaseLost):
        await runs.write(1, {"sku": "x"}, step=3, update=setting(by=1))
    for key in ({"color": "red"}, {"sku": "x", "color": "red"}, {}):
        with pytest.raises(StrategyError, match="not named by"):
            await runs.write(1, key, update=setting(by=1))
    assert await runs.things.count_documents({}) == 1


async def test_a_sparse_index_does_not_name_the_records_that_it_leaves_out(runs: Runs) -> None:
    await runs.things.create_index("sku", unique=True, sparse=True)
    await runs.things.insert_many([{"_id": "a"}, {"_id": "b"}])
    with pytest.raises(StrategyError, match="not named by sku where that is null"):
        await runs.write(1, {"sku": None}, update=setting(by=1))
    await runs.write(1, {"sku": "x"}, update=setting(by=1))
    assert await runs.things.count_documents({"by": 1}) == 1


async def test_a_value_that_another_record_has_is_no_step_that_was_done(runs: Runs) -> None:
    await runs.things.create_index("sku", unique=True)
    await runs.write(1, {"_id": "a"}, step=1, update=setting(sku="x"))
    await runs.write(1, {"_id": "b"}, step=1, update=setting(sku="y"))
    for key in ({"_id": "c"}, {"_id": "b"}):
        with pytest.raises(StrategyError, match="unique index"):
            await runs.write(1, key, step=2, update=setting(sku="x"))
    assert (await runs.thing(_id="b"))["sku"] == "y"


async def test_a_record_that_somebody_else_makes_in_the_same_moment_is_written_all_the_same(runs: Runs) -> None:
    """The upsert has found no record, and then there is one."""
    await runs.write(1, {"_id": "repeated"}, step=3, update=setting(by=1))
    runs.things = cast(Any, Overtaken(runs.things, {"_id": "a", MARK: {"job": "batch_2", "fence": 9, "step": 9}}))
    records = [RecordWrite({"_id": name}, {"$inc": {"count": 1}}) for name in ("a", "b", "repeated")]
    assert await runs.write_all(2, records, step=3) == Written(2, 1)
    assert (await runs.thing(_id="a"))["count"] == (await runs.thing(_id="b"))["count"] == 1


async def test_one_step_cannot_have_two_writes_of_the_same_record(runs: Runs) -> None:
    twice = [RecordWrite({"_id": "a"}, {"$inc": {"count": 1}}), RecordWrite({"_id": "a"}, {"$inc": {"other": 1}})]
    with pytest.raises(StrategyError, match="twice"):
        await runs.write_all(1, twice, step=1)
    assert await runs.things.count_documents({}) == 0
    assert await runs.write_all(1, twice) == Written(2, 0)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (RecordWrite({"_id": {"$gt": 1}}, {"$set": {"a": 1}}), "have to be plain"),
        (RecordWrite({"_id": 1}, {"a": {"b": 1}}), "no update operator"),
        (RecordWrite({"_id": 1}, {"$set": {f"{MARK}.fence": 0}}), "batchbus's own"),
    ],
)
async def test_what_cannot_be_written_is_said(runs: Runs, record: RecordWrite, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        await runs.write_all(1, [record])
    with pytest.raises(StrategyError, match="write: step has to be"):
        await runs.write_all(1, [RecordWrite({"_id": 1}, {"$set": {"a": 1}})], step=cast(int, "one"))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(attempts=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), max_size=12))
async def test_in_whatever_order_runs_and_steps_come_none_is_doubled_and_no_older_run_writes_after_a_newer(
    catalog: Catalog, attempts: list[tuple[int, int]]
) -> None:
    runs = Runs(catalog, blocking=False)
    await runs.things.delete_many({})
    fences: list[int] = []
    steps: list[int] = []
    for fence, step in attempts:
        try:
            written = await runs.write(fence, {"_id": "a"}, step=step, update={"$push": {"done": [fence, step]}})
        except LeaseLost:
            assert fence < max(fences)
            continue
        if written.done:
            fences.append(fence)
            steps.append(step)
    thing = await runs.things.find_one({"_id": "a"}) or {"done": []}
    assert thing["done"] == [list(pair) for pair in zip(fences, steps, strict=True)]
    assert fences == sorted(fences)
    assert steps == sorted(set(steps))
