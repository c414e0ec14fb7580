"""The queries of a list: which jobs are on a page is read from an index, and no other documents are.

They are taken off the driver and explained. What holds on MongoDB is shown by what its planner goes by: a query is
covered if the index holds every field of its conditions, its order and its answer, and there is a condition on the
first; it needs no sorting if the order follows, in the index, on fields that are compared for equality. The embedded
server, which answers here, says which index is used, but neither covers nor sorts by a compound one: it always tells
of FETCH, and of SORT for these orders.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Final

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.listing import Listing
from batchbus_service.http.medusa.listing import ORDERS, TIMES, read_listing
from batchbus_service.http.medusa.wire import job_on_the_wire
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.document import to_document
from batchbus_service.storage.mongo.jobs import MongoJobStore
from batchbus_service.storage.mongo.listings import MongoJobListings
from batchbus_service.storage.mongo.totals import LEAST_REMEMBERED
from tests.http.sent import Query, Sent, explained, scan_of

NOW: Final = SystemClock().now()
BEFORE: Final = f"{NOW - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
DIRECTIONS: Final = tuple(sign + field for field in ORDERS for sign in ("", "-"))
FILTERS: Final = (
    "",
    "type[]=import",
    "type[]=import&type[]=export",
    "status[]=failed",
    "status[]=failed&status[]=completed",
    f"created_at[gt]={BEFORE}&created_at[lte]=2100-01-01",
    *(f"{field}=null" for field in TIMES),
    *(f"{field}[gte]={BEFORE}" for field in TIMES),
    f"failed_at=null&completed_at[lt]={BEFORE}&status[]=completed&type[]=import",
)
CALLERS: Final = ("usr_ann", None)
"""A member, and an operator."""


def _jobs() -> list[Job]:
    """Jobs of two people, of every status, from just now to weeks ago; some of them equal in nearly everything."""
    ends = (Status.COMPLETED, Status.FAILED, Status.CANCELED)
    jobs = []
    for number in range(24):
        created = NOW - timedelta(seconds=0 if number < 4 else 4 ** (number // 2))
        status = tuple(Status)[number % len(Status)]
        path = [Status.PRE_PROCESSED, Status.CONFIRMED, Status.PROCESSING, *ends[: number % 4]]
        reached = [] if status is Status.CREATED else [one for one in path if one not in ends or one is status]
        jobs.append(
            Job(
                id=f"batch_{(number * 7) % 24:026d}",
                type="import" if number % 3 else "export",
                dry_run=number % 2 == 0,
                context={},
                created_by="usr_ann" if number % 5 else "usr_bob",
                request_digest="",
                status=status,
                status_at={one: created + timedelta(seconds=number % 6) for one in reached},
                created_at=created,
                updated_at=created + timedelta(seconds=number % 6),
            )
        )
    return jobs


class _StoppedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


@dataclass
class Lists:
    """A database with jobs in it, its lists as on MongoDB and as on the embedded database, and what they send."""

    database: AsyncIOMotorDatabase[dict[str, Any]]
    mongodb: MongoJobListings
    embedded: MongoJobListings
    sent: Sent
    jobs: list[Job]

    async def queries(self, finder: MongoJobListings, listing: Listing) -> tuple[list[Job], list[Query]]:
        """The page, and the queries that it took."""
        self.sent.queries.clear()
        page, _total = await finder.find(listing)
        return page, list(self.sent.queries)


@pytest.fixture
async def lists(mongo_url: str, database_name: str) -> AsyncIterator[Lists]:
    sent = Sent()
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        mongo_url, tz_aware=True, tzinfo=UTC, event_listeners=[sent]
    )
    database = client[database_name[-38:]]
    store, jobs, clock = MongoJobStore(database), _jobs(), _StoppedClock()
    await store.prepare()
    for job in jobs:
        await store.insert(job)
    mongodb, embedded = (MongoJobListings(database, clock, embedded=embedded) for embedded in (False, True))
    yield Lists(database, mongodb, embedded, sent, jobs)
    await client.drop_database(database.name)
    client.close()


def _listing(query: str, caller: str | None, **more: object) -> Listing:
    asked = "&".join([query, *(f"{name}={value}" for name, value in more.items())])
    return read_listing(asked.encode(), caller)


@pytest.mark.embedded
@pytest.mark.parametrize("caller", CALLERS)
async def test_whatever_is_asked_for_is_read_from_an_index_that_holds_all_of_it(
    lists: Lists, caller: str | None
) -> None:
    for order, filter_ in (*product(DIRECTIONS, ("", "failed_at=null")), *product(("-created_at", "type"), FILTERS)):
        listing = _listing(filter_, caller, order=order, limit=3, offset=1)
        page, (*finding, reading) = await lists.queries(lists.mongodb, listing)
        if len(page) == 3:
            finding, reading = [*finding[:-1], reading], finding[-1]  # the page was full: counted at last
        for query in finding:
            index = await _index_of(lists, query)
            assert _named(query) <= set(index), (order, filter_, query)
            assert next(iter(index)) in _conditions(query), (order, filter_, query)
        assert reading["filter"] == {"_id": {"$in": [job.id for job in page]}}
        read = (await explained(lists.database, reading))["executionStats"]
        assert read["totalDocsExamined"] == read["nReturned"] == len(page), (order, filter_)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("query", "caller"),
    [
        ("", None),
        ("", "usr_ann"),
        ("order=created_at", None),
        ("order=created_at", "usr_ann"),
        ("type[]=import&failed_at=null", "usr_ann"),
        ("status[]=failed&status[]=completed", None),
        ("order=created_by", "usr_ann"),
        ("order=-created_by", None),
        ("order=-status", None),
    ],
)
async def test_what_people_look_at_comes_out_of_the_index_in_order(
    lists: Lists, query: str, caller: str | None
) -> None:
    _page, (finding, *_rest) = await lists.queries(lists.mongodb, _listing(query, caller, limit=1))
    index = await _index_of(lists, finding)
    assert _needs_no_sorting(index, finding["filter"], finding["sort"])


@pytest.mark.embedded
async def test_jobs_asked_for_by_their_ids_are_looked_up_by_them(lists: Lists) -> None:
    ids = [job.id for job in lists.jobs[:4]]
    listing = _listing("&".join(f"id[]={job_id}" for job_id in ids), None, limit=2)
    page, (finding, *_rest) = await lists.queries(lists.mongodb, listing)
    assert await _index_of(lists, finding) == {"_id": 1}
    assert finding["filter"]["_id"] == {"$in": ids}
    assert len(page) == 2


async def test_a_list_that_ends_on_the_page_is_not_counted(lists: Lists) -> None:
    for finder in (lists.mongodb, lists.embedded):
        for offset, counted in ((0, False), (20, False), (24, True), (30, True)):
            _page, queries = await lists.queries(finder, _listing("", None, limit=25, offset=offset))
            assert any("aggregate" in query for query in queries) == counted, offset


async def test_a_large_total_is_counted_once_for_all_pages_and_orders(lists: Lists) -> None:
    job = lists.jobs[0]
    copies = [replace(job, id=f"batch_{number:026d}") for number in range(100, 100 + LEAST_REMEMBERED)]
    await lists.database.jobs.insert_many([to_document(copy) for copy in copies])
    lists.sent.queries.clear()
    totals = [(await lists.mongodb.find(_listing(query, None)))[1] for query in ("", "offset=50", "order=id")]
    assert set(totals) == {len(lists.jobs) + LEAST_REMEMBERED}
    assert sum("aggregate" in query for query in lists.sent.queries) == 1


async def test_the_newest_on_the_embedded_database_are_not_looked_for_among_the_old(lists: Lists) -> None:
    for caller, jobs in ((None, lists.jobs), ("usr_ann", [job for job in lists.jobs if job.created_by == "usr_ann"])):
        _page, queries = await lists.queries(lists.embedded, _listing("", caller, limit=6))
        slices = [query["filter"]["created_at"] for query in queries if "sort" in query]
        oldest_read = min(slice_["$gte"] for slice_ in slices).replace(tzinfo=UTC)
        assert sum(job.created_at >= oldest_read for job in jobs) < len(jobs) / 2


@pytest.mark.parametrize("as_on", ["mongodb", "embedded"])
async def test_every_list_is_that_of_all_jobs_sorted_and_cut(lists: Lists, as_on: str) -> None:
    finder: MongoJobListings = getattr(lists, as_on)
    for order, caller, filter_ in (
        *product(DIRECTIONS, CALLERS, ("",)),
        *product(("-created_at",), CALLERS, FILTERS),
        ("-failed_at", None, "status[]=failed&status[]=completed"),
    ):
        expected = _expected(lists.jobs, order, caller, filter_)
        for offset, limit in ((3, 15), (22, 5)):
            listing = _listing(filter_, caller, order=order, offset=offset, limit=limit)
            page, total = await finder.find(listing)
            told = (as_on, order, caller, filter_, offset)
            assert [job.id for job in page] == [job.id for job in expected][offset : offset + limit], told
            assert total == len(expected), told


def _expected(jobs: Sequence[Job], order: str, caller: str | None, filter_: str) -> list[Job]:
    listing = _listing(filter_, caller)
    chosen = [job for job in jobs if caller in (None, job.created_by) and _chosen(job, listing)]
    newest = sorted(chosen, key=lambda job: (job.created_at, job.id), reverse=True)
    field, descending = order.removeprefix("-"), order.startswith("-")
    if field == "created_at":
        return newest if descending else newest[::-1]
    shown = {job.id: job_on_the_wire(job)[field] for job in newest}
    there = [job for job in newest if shown[job.id] is not None]
    there.sort(key=lambda job: str(shown[job.id]), reverse=descending)  # stable, also in reverse
    never = [job for job in newest if shown[job.id] is None]
    return never + there if descending else there + never


def _chosen(job: Job, listing: Listing) -> bool:
    times: dict[str, datetime | None] = {
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        **{f"{status}_at": job.status_at.get(status) for status in Status if status is not Status.CREATED},
    }
    compare = {"lt": "__lt__", "lte": "__le__", "gt": "__gt__", "gte": "__ge__"}
    return (
        (listing.types is None or job.type in listing.types)
        and (listing.statuses is None or job.status in listing.statuses)
        and all(
            (time := times[field]) is None
            if not bounds
            else (time := times[field]) is not None
            and all(getattr(time, compare[word])(bound) for word, bound in bounds.items())
            for field, bounds in listing.times.items()
        )
    )


async def _index_of(lists: Lists, query: Query) -> dict[str, int]:
    """The key of the index that serves the query, and that it was told to use. Fails if there is none."""
    scan = scan_of(await explained(lists.database, query))
    assert (scan["stage"], scan["indexName"]) == ("IXSCAN", query["hint"]), scan
    key: dict[str, int] = scan["keyPattern"]
    return key


def _conditions(query: Query) -> Mapping[str, Any]:
    where: Mapping[str, Any] = query["pipeline"][0]["$match"] if "aggregate" in query else query["filter"]
    assert None not in where.values(), "an index alone does not tell what is null"
    return where


def _named(query: Query) -> set[str]:
    """Every field that the server needs for the answer."""
    if "aggregate" in query:
        assert query["pipeline"][1:] == [{"$group": {"_id": 1, "n": {"$sum": 1}}}]
        return set(_conditions(query))
    assert query["projection"] == {"_id": True}
    return {"_id", *_conditions(query), *query["sort"]}


def _needs_no_sorting(index: Mapping[str, int], where: Mapping[str, Any], order: Mapping[str, int]) -> bool:
    """Equality before order, as MongoDB's planner has it; a scan for each value of an `$in` is merged in order."""
    equal = [field for field, asked in where.items() if not isinstance(asked, dict) or "$in" in asked]
    key = list(index)
    while key and key[0] in equal and key[0] not in order:
        key.pop(0)
    return key[: len(order)] == list(order) and len(set(order.values())) == 1
