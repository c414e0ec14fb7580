"""Documents that this version of batchbus cannot read: named in the log, left out or shown as such, and left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from batchbus_events.ids import new_job_id
from batchbus_service.domain.errors import UnreadableDocument, UnreadableJob
from batchbus_service.domain.parked import Filter, ParkedMessage
from batchbus_service.domain.ports import Stores
from batchbus_service.domain.principals import User
from batchbus_service.domain.roles import Role
from batchbus_service.domain.selection import Selection
from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.collection import Database
from batchbus_service.storage.mongo.connection import mongo_stores
from tests.storage.test_listings_contract import EVERYTHING
from tests.storage.test_operations_contract import parked, replay
from tests.storage.test_store_contract import NOW, change, job_like, seconds

BROKEN: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "a status that is none": ({"$set": {"status": "lost"}}, "'lost' is not a valid Status"),
    "a status that is no text": ({"$set": {"status": ["created"]}}, "status is of the kind list"),
    "of a newer version": ({"$set": {"schema": 99}}, "a newer batchbus wrote it"),
    "a schema that is no number": ({"$set": {"schema": "1"}}, "TypeError"),
    "no history": ({"$unset": {"history": ""}}, "history"),
    "a history that is none": ({"$set": {"history": [{"seq": 1}]}}, "time"),
    "a history with strange times": ({"$set": {"history.0.time": "today"}}, "history"),
    "no type": ({"$unset": {"type": ""}}, "type"),
    "a type that is no text": ({"$set": {"type": 5}}, "type is of the kind int"),
    "a time that is none": ({"$set": {"created_at": "yesterday"}}, "created_at is of the kind str"),
    "a version that is none": ({"$set": {"version": "two"}}, "version is of the kind str"),
    "a context that is none": ({"$set": {"context": [1]}}, "context is of the kind list"),
    "a result that is none": ({"$set": {"result": "good"}}, "result is of the kind str"),
    "a lease of another form": ({"$set": {"lease": {"worker": "one"}}}, "expires_at"),
    "a checkpoint of another form": ({"$set": {"checkpoint": {"page": 1}}}, "page"),
}


@pytest.fixture
def stores(database: Database) -> Stores:
    return mongo_stores(database, SystemClock(), embedded=False)


@pytest.fixture(params=BROKEN)
async def reason(request: pytest.FixtureRequest, stores: Stores, database: Database) -> str:
    """Why the first of two jobs cannot be read."""
    for number in (1, 2):
        await stores.jobs.insert(job_like(number))
    update, reason = BROKEN[request.param]
    await database["jobs"].update_one({"_id": job_like(1).id}, update)
    return reason


@pytest.mark.parametrize(("update", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_job_that_cannot_be_read_is_named_with_the_reason_once(
    stores: Stores, database: Database, update: dict[str, Any], reason: str
) -> None:
    job = replace(job_like(1), id=new_job_id())  # one that no other test has had named
    await stores.jobs.insert(job)
    await database["jobs"].update_one({"_id": job.id}, update)
    with capture_logs() as log:
        for _ in range(2):
            with pytest.raises(UnreadableJob, match=f"batch job {job.id} cannot be read") as error:
                await stores.jobs.get(job.id)
            assert reason in str(error.value)
            assert str(error.value).count("cannot be read") == 1
    assert [(entry["event"], entry["document_id"]) for entry in log] == [("document_not_readable", job.id)]
    assert reason in log[0]["reason"]


async def test_a_job_that_cannot_be_read_hides_no_other_from_the_engine(stores: Stores, reason: str) -> None:
    waiting = await stores.jobs.waiting("pre_process", "noop", until=NOW, want=5)
    due = await stores.jobs.due(until=seconds(99), want=5)
    assert [job.id for job in waiting] == [job.id for job in due] == [job_like(2).id]


async def test_a_job_that_cannot_be_read_has_its_place_in_lists_with_the_reason(
    stores: Stores, database: Database, reason: str
) -> None:
    there = await database["jobs"].count_documents({"created_at": {"$type": "date"}})
    jobs, count = await stores.listings.find(replace(EVERYTHING, ids=[job_like(number).id for number in (1, 2)]))
    assert count == len(jobs) == there
    shown = [job.result and job.result.errors for job in jobs if job.id == job_like(1).id]
    assert all(errors and reason in str(errors) for errors in shown)
    (found,) = await stores.listings.unreadable(newest=10)
    assert (found.job_id, reason in str(found)) == (job_like(1).id, True)


async def test_of_a_job_that_cannot_be_read_no_events_are_read_unless_they_can_be(stores: Stores, reason: str) -> None:
    ids = tuple(job_like(number).id for number in (1, 2))
    found = {each.job_id for each in stores.histories.read(Selection(job_ids=ids))}
    assert job_like(2).id in found
    if reason in ("history", "time", "a newer batchbus wrote it"):
        assert found == {job_like(2).id}


async def test_many_jobs_that_cannot_be_read_do_not_keep_one_behind_them_from_view(
    stores: Stores, database: Database
) -> None:
    for number in range(25):
        await stores.jobs.insert(job_like(number))
    await database["jobs"].update_many({}, {"$set": {"status": "lost"}})
    behind = job_like(99, at=NOW + timedelta(milliseconds=1))
    await stores.jobs.insert(behind)
    assert await stores.jobs.waiting("pre_process", "noop", until=seconds(1), want=3) == [behind]
    assert await stores.jobs.due(until=seconds(99), want=3) == [behind]


async def test_a_placeholder_that_cannot_be_read_is_named_and_hides_no_job(stores: Stores, database: Database) -> None:
    await stores.jobs.keep_early(job_like(1).id, change(), seconds(1))
    await stores.jobs.insert(job_like(2))
    await database["jobs"].update_one({"_id": job_like(1).id}, {"$unset": {"since": ""}})
    assert [job.id for job in await stores.jobs.due(until=seconds(99), want=5)] == [job_like(2).id]
    for asked in (stores.jobs.placeholder(job_like(1).id), stores.jobs.keep_early(job_like(1).id, change(2), NOW)):
        with pytest.raises(UnreadableJob, match="since"):
            await asked


async def test_what_else_cannot_be_read_is_named_by_its_id_and_left_out_of_lists(
    stores: Stores, database: Database
) -> None:
    user = User(id="usr_1", email="1@example.com", role=Role.MEMBER, created_at=NOW, updated_at=NOW)
    message: ParkedMessage = parked()
    await stores.users.insert(user, None)
    await stores.replays.insert(replay())
    await stores.parked.keep(message)
    await database["users"].update_one({}, {"$set": {"role": "king"}})
    await database["replays"].update_one({}, {"$set": {"selection": {"since": "never"}}})
    await database["parked"].update_one({}, {"$unset": {"audit": ""}})
    for asked, what in (
        (stores.users.get("usr_1"), "user usr_1"),
        (stores.users.find("1@example.com"), "user usr_1"),
        (stores.replays.get("replay_1"), "replay replay_1"),
        (stores.parked.get("parked_1"), "parked message parked_1"),
    ):
        with pytest.raises(UnreadableDocument, match=f"The document of {what} cannot be read"):
            await asked
    assert (await stores.users.page(offset=0, limit=10))[0] == []
    assert (await stores.replays.newest(offset=0, limit=10))[0] == []
    assert (await stores.parked.find(Filter(), offset=0, limit=10))[0] == []
    assert await stores.replays.claim("one", NOW, datetime.now(UTC)) is None
