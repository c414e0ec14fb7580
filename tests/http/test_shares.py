"""What one user, one address and all of them may hold of a process at a time, and that health is answered all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import structlog

from batchbus_service.domain.errors import TryLater
from batchbus_service.domain.settings import Settings
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.shares import Crowd, Share
from batchbus_service.telemetry.logs import Seldom
from tests.http.conftest import Person, Site
from tests.http.wire import connected
from tests.patience import PATIENCE

PART = b'--B\r\ncontent-disposition: form-data; name="files"; filename="a.csv"\r\n\r\n'


def test_a_share_is_given_back_once_however_often_that_is_said() -> None:
    share = Share("streams", 2)
    first, _second = share.take("ann"), share.take("ann")
    with pytest.raises(TryLater, match="2 streams"):
        share.take("ann")
    share.take("bob")
    first()
    first()
    share.take("ann")
    with pytest.raises(TryLater):
        share.take("ann")


def test_connections_beyond_the_limit_have_no_room_but_are_counted_until_they_end() -> None:
    crowd = Crowd(["10.0.0.0/8"], most=4, of_an_address=2)
    assert [crowd.enter(address) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.1")] == [True, True, False]
    assert crowd.enter("10.1.2.3") and not crowd.enter("10.1.2.3")  # of all, the fifth
    for address in ("192.0.2.1", "192.0.2.1", "192.0.2.1"):
        crowd.leave(address)
    assert [crowd.enter("10.1.2.3"), crowd.enter("10.1.2.3"), crowd.enter("::1")] == [True, True, False]
    assert not crowd.full
    for _ in range(40):
        crowd.enter("::1")
    assert crowd.full


async def test_health_is_answered_while_connections_are_used_up(
    settings: Settings, open_site: Callable[..., Any]
) -> None:
    site: Site = await open_site(settings, crowd=Crowd(["127.0.0.0/8"], most=3))
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await _half_a_request(site, stack)
        assert (await _answer(site, "/health/live"))[0] == 200
        assert (await _answer(site, "/metrics"))[0] == 503
        status, head = await _answer(site, "/admin/auth")
        assert (status, "connection: close" in head, "retry-after" in head) == (503, True, True)
    async with asyncio.timeout(PATIENCE):
        while (await _answer(site, "/admin/auth"))[0] != 401:  # the others' ends are on their way
            pass


async def test_connections_beyond_those_for_health_are_closed(
    settings: Settings, open_site: Callable[..., Any]
) -> None:
    patient = HttpTimeouts(crowded=PATIENCE)
    site: Site = await open_site(settings, timeouts=patient, crowd=Crowd(["127.0.0.0/8"], most=1))
    async with AsyncExitStack() as stack:
        for _ in range(33):
            await _half_a_request(site, stack)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _answer(site, "/health/live")


async def test_half_sent_uploads_of_one_user_leave_room_for_others(site: Site, ann: Person, bob: Person) -> None:
    site.api.shares.uploads.most = 2
    begun, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def half() -> Any:
        yield PART
        begun.release()
        await go_on.wait()
        yield b"x\r\n--B--\r\n"

    async def upload(person: Person) -> int:
        headers = {"content-type": "multipart/form-data; boundary=B"}
        answer = await person.http.post("/admin/uploads/protected", content=half(), headers=headers)
        return answer.status_code

    running = [asyncio.create_task(upload(ann)) for _ in range(2)]
    async with asyncio.timeout(PATIENCE):
        for _ in running:
            await begun.acquire()
        while site.api.shares.uploads.held_by(ann.user.id) < 2:
            assert (await _answer(site, "/health/live"))[0] == 200  # meanwhile the server begins with both
        refused = await _small_upload(ann)
        assert (refused.status_code, refused.json()["type"]) == (429, "too_many_requests")
        assert refused.headers["retry-after"]
        await bob.upload(b"x")
        go_on.set()
        assert await asyncio.gather(*running) == [200, 200]
    await ann.upload(b"x")


async def test_event_streams_of_one_user_leave_room_for_others(site: Site, ann: Person, bob: Person) -> None:
    site.api.shares.streams.most = 2
    jobs = {person.user.id: await person.create("planned", {"rows": 1}, dry_run=True) for person in (ann, bob)}
    mine = f"/admin/batch-jobs/{jobs[ann.user.id]['id']}/events"
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(ann.stream(mine))
        assert (await ann.http.get(mine)).status_code == 429
        await stack.enter_async_context(bob.stream(f"/admin/batch-jobs/{jobs[bob.user.id]['id']}/events"))
    async with asyncio.timeout(PATIENCE):
        while (await ann.http.head(mine)).status_code == 429:  # the ends of the streams are on their way
            pass


def test_lines_that_a_library_repeats_are_left_out() -> None:
    seldom = Seldom(most=3, now=lambda: 0.0)
    written = 0
    for _ in range(100):
        try:
            seldom(None, "error", {"event": "socket.accept() out of system resource", "logger": "asyncio"})
            written += 1
        except structlog.DropEvent:
            pass
    assert written == 3


async def _small_upload(person: Person) -> httpx.Response:
    return await person.http.post("/admin/uploads/protected", files={"files": ("a.csv", b"x")})


async def _half_a_request(site: Site, stack: AsyncExitStack) -> None:
    """A connection that the server knows of, and which waits for the rest of a request."""
    wire = await stack.enter_async_context(connected(site))
    await wire.send("GET /admin/auth HTTP/1.1", "", end=False)


async def _answer(site: Site, path: str) -> tuple[int, str]:
    """The status and the head of what the server answers to a connection of its own."""
    async with connected(site) as wire:
        await wire.send(f"GET {path} HTTP/1.1", "host: x")
        head = await wire.head()
        return int(head.split()[1]), head.lower()
