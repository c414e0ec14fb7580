"""What every store must do that lists jobs, says whose a file is, and tells of its server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.listing import Listing
from batchbus_service.domain.ports import Stores, Upload
from batchbus_service.domain.result import JobResult
from batchbus_service.storage.clock import SystemClock

NOW = SystemClock().now()
EVERYTHING = Listing(
    created_by=None,
    ids=None,
    types=None,
    statuses=None,
    times={},
    order="created_at",
    descending=True,
    offset=0,
    limit=100,
)


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def job(number: int, status: Status = Status.CREATED, **more: Any) -> Job:
    reached: dict[Status, datetime] = {} if status is Status.CREATED else {status: seconds(number % 3)}
    return Job(
        id=f"batch_{number}",
        type="import" if number % 2 else "export",
        dry_run=number > 3,
        context={},
        created_by="usr_ann" if number < 4 else "usr_bob",
        request_digest="",
        status=status,
        status_at=reached,
        created_at=seconds(-number),
        updated_at=seconds(number),
        **more,
    )


async def listed(stores: Stores, **asked: Any) -> str:
    """The numbers of the jobs, in their order, and how many there are."""
    jobs, count = await stores.listings.find(replace(EVERYTHING, **asked))
    return "".join(job.id[-1] for job in jobs) + f" of {count}"


@pytest.fixture
async def six(stores: Stores) -> Stores:
    for number, status in enumerate((Status.CREATED, Status.FAILED, Status.FAILED, Status.COMPLETED, Status.FAILED)):
        await stores.jobs.insert(job(number, status))
    await stores.jobs.insert(job(5, result=JobResult(file_key="exports/5.csv")))
    return stores


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "012345 of 6"),
        ({"created_by": "usr_bob"}, "45 of 2"),
        ({"ids": ["batch_4", "batch_1", "batch_9"]}, "14 of 2"),
        ({"ids": []}, " of 0"),
        ({"types": ["export"]}, "024 of 3"),
        ({"types": ["export", "import"], "statuses": [Status.FAILED]}, "124 of 3"),
        ({"statuses": [Status.FAILED, Status.COMPLETED], "created_by": "usr_ann"}, "123 of 3"),
        ({"times": {"failed_at": {}}}, "035 of 3"),
        ({"times": {"failed_at": {"gt": seconds(1)}}}, "2 of 1"),
        ({"times": {"created_at": {"lte": seconds(-2), "gt": seconds(-5)}}}, "234 of 3"),
        ({"times": {"updated_at": {"gte": seconds(4)}, "completed_at": {}}}, "45 of 2"),
    ],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value),
)
async def test_every_condition_holds(six: Stores, asked: Mapping[str, Any], expected: str) -> None:
    assert await listed(six, **asked) == expected


@pytest.mark.parametrize(
    ("order", "upwards", "downwards"),
    [
        ("created_at", "543210", "012345"),
        ("id", "012345", "543210"),
        ("updated_at", "012345", "543210"),
        ("type", "024135", "135024"),
        ("status", "305124", "124053"),
        ("dry_run", "012345", "450123"),
        ("created_by", "012345", "450123"),
        ("failed_at", "142035", "035214"),
    ],
)
async def test_what_is_equal_comes_newest_first_and_what_has_no_such_time_last(
    six: Stores, order: str, upwards: str, downwards: str
) -> None:
    assert await listed(six, order=order, descending=False) == f"{upwards} of 6"
    assert await listed(six, order=order, descending=True) == f"{downwards} of 6"


async def test_a_page_is_cut_out_of_the_list(six: Stores) -> None:
    assert await listed(six, offset=2, limit=3) == "234 of 6"
    assert await listed(six, offset=1.5, limit=1.4) == "2 of 6"
    assert await listed(six, offset=9, limit=3) == " of 6"
    assert await listed(six, order="failed_at", descending=True, offset=2, limit=2) == "52 of 6"


async def test_a_file_belongs_to_whose_job_made_it(six: Stores) -> None:
    assert await six.listings.made_file("exports/5.csv", user_id="usr_bob")
    assert not await six.listings.made_file("exports/5.csv", user_id="usr_ann")
    assert not await six.listings.made_file("exports/6.csv", user_id="usr_bob")
    assert await six.listings.unreadable(newest=10) == []


async def test_a_file_belongs_to_the_principal_whose_job_made_it(stores: Stores) -> None:
    for number, (name, made_by, principal) in enumerate((("new", "a label", "shop"), ("old", "billing", None))):
        made_it = replace(job(number), created_by=f"bus:{made_by}", principal=principal)
        await stores.jobs.insert(replace(made_it, result=JobResult(file_key=f"exports/{name}.csv")))
    made = stores.listings.made_file
    assert await made("exports/new.csv", principal="shop")
    assert not await made("exports/new.csv", principal="a label")
    assert not await made("exports/new.csv", principal="unvouched:shop")
    assert not await made("exports/new.csv", user_id="shop")
    assert await made("exports/old.csv", principal="billing"), "as long as there are jobs from before"
    assert not await made("exports/old.csv", principal="shop")


async def test_it_is_known_whose_an_upload_is_until_it_is_removed(stores: Stores) -> None:
    upload = Upload("key", "usr_ann", public=True)
    await stores.uploads.insert(upload, NOW)
    assert await stores.uploads.get("key") == upload
    assert await stores.uploads.get("other") is None
    for services in (("shop", "billing"), ()):
        await stores.uploads.grant("key", services)
        assert await stores.uploads.get("key") == replace(upload, services=services)
    await stores.uploads.grant("other", ["shop"])
    assert await stores.uploads.get("other") is None
    for _ in range(2):
        await stores.uploads.remove("key")
    assert await stores.uploads.get("key") is None


async def test_processes_are_there_until_they_leave(stores: Stores) -> None:
    for name, until in (("one", seconds(10)), ("two", seconds(20)), ("one", seconds(30)), ("three", seconds(5))):
        await stores.processes.renew(name, until)
    await stores.processes.leave("three")
    await stores.processes.leave("four")
    present = await stores.processes.present()
    assert {name: sign.until for name, sign in present.items()} == {"one": seconds(30), "two": seconds(20)}


async def test_a_server_that_works_tells_its_time_and_its_version_and_takes_a_small_write(stores: Stores) -> None:
    told = await stores.server.time()
    assert abs(told - SystemClock().now()) < timedelta(minutes=1)
    assert await stores.server.version()
    for write in (True, True, False):
        await stores.server.try_out(write=write)


async def test_the_bytes_that_a_user_keeps_are_added_up(stores: Stores) -> None:
    await stores.uploads.prepare()
    assert await stores.uploads.bytes_of("usr_ann") == 0
    for key, user_id, size in (
        ("a", "usr_ann", 5),
        ("b", "usr_ann", 2**40),
        ("c", "usr_bob", 7),
        ("d", "usr_ann", None),
    ):
        await stores.uploads.insert(Upload(key, user_id, public=False), NOW)
        if size is not None:
            await stores.uploads.keep(key, size)
    assert await stores.uploads.bytes_of("usr_ann") == 5 + 2**40
    await stores.uploads.keep("b", 0)
    await stores.uploads.keep("nothing", 9)
    assert [await stores.uploads.bytes_of(user) for user in ("usr_ann", "usr_bob")] == [5, 7]
    await stores.uploads.remove("c")
    assert await stores.uploads.bytes_of("usr_bob") == 0
    assert await stores.uploads.get("b") == Upload("b", "usr_ann", public=False)
