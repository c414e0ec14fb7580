"""Event streams as clients read them: frames say what was put in, and nothing is lost or repeated wherever they break."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Literal, cast, get_args

import httpx
import structlog
from httpx_sse import EventSource
from hypothesis import given, settings
from hypothesis import strategies as st

from batchbus_events import topics
from batchbus_events.bus import Message
from batchbus_events.ids import new_job_id, new_ulid
from batchbus_events.memory import MemoryBus
from batchbus_service.domain.job import Job
from batchbus_service.domain.lifecycle import Cause, Decider, NewJob, Policy
from batchbus_service.http.live.feeds import LiveFeed
from batchbus_service.http.live.sse import comment, frame, id_alone, retry_hint
from batchbus_service.http.operator.streams import of_a_job
from batchbus_service.http.server.connections import HttpTimeouts
from batchbus_service.http.server.state import Api
from batchbus_service.journal import messages
from tests.patience import PATIENCE

WORDS = st.from_regex(r"[a-z_.]{1,20}", fullmatch=True)
Action = Literal["write", "publish", "publish twice", "lose", "progress", "break"]
ACTIONS = get_args(Action)


def _read(pieces: Sequence[bytes]) -> list[tuple[str, str, str]]:
    """Event, data and last id of every event, as a client reads them."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))
    return [(event.event, event.data, event.id) for event in EventSource(answer).iter_sse() if event.data]


@given(
    events=st.lists(st.tuples(WORDS, st.text(min_size=1), st.none() | WORDS), max_size=5),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_a_frame_says_what_was_put_in_however_it_arrives(
    events: list[tuple[str, str, str | None]], cuts: list[int]
) -> None:
    frames = (comment("still here") + frame(*event) for event in events)
    text = b"".join([retry_hint(2), id_alone("begin"), *frames])
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    expected, last = [], "begin"
    for name, data, id_ in events:
        last = id_ or last
        expected.append((name, re.sub(r"\r\n|\r", "\n", data), last))
    assert _read([text[start:end] for start, end in pairwise(places)]) == expected


class _Stored:
    """A job as the database has it, and what reads it there."""

    def __init__(self, retries: int) -> None:
        decider, now, cause = Decider(Policy(max_attempts=1), new_ulid), datetime(2024, 1, 1, tzinfo=UTC), Cause()
        request = NewJob(
            id=new_job_id(), type="rows", context={}, dry_run=False, created_by="bus:/b", request_digest="d" * 64
        )
        job = decider.create(request, now, cause)
        self.states = [job]
        job = decider.pre_processed(decider.claim(job, "w", now), now, cause, go_on=True)
        self.states.append(job)
        for _ in range(retries):
            job = decider.failed(job, now, "no", cause)
            self.states.append(job)
            job = decider.claim(decider.retry(job, now, cause), "w", now)
            self.states.append(job)
        self.states.append(decider.completed(job, now, cause))
        self.written = 0
        self.published = 0

    @property
    def job(self) -> Job:
        return self.states[self.written]

    async def get(self, _job_id: str) -> Job:
        return self.job

    def write(self) -> None:
        self.written = min(self.written + 1, len(self.states) - 1)

    def next_message(self) -> Message | None:
        """The next event, if it is written already."""
        if self.published == len(self.job.history):
            return None
        self.published += 1
        return messages.lifecycle(self.job, self.job.history[self.published - 1])


class _Client:
    """It follows the job, and comes back with the last id that it has seen."""

    def __init__(self, api: Api, job_id: str) -> None:
        self._api = api
        self._job_id = job_id
        self._following: asyncio.Task[None] | None = None
        self.seen: list[int] = []

    def connect(self) -> None:
        self._following = asyncio.create_task(self._follow())

    async def break_off(self) -> None:
        assert self._following is not None
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following

    async def until(self, sequence: int) -> None:
        while not self.seen or self.seen[-1] < sequence:
            assert self._following is not None
            await self._following
            self.connect()

    async def _follow(self) -> None:
        last = self.seen[-1] if self.seen else 0
        async with aclosing(of_a_job(self._api, self._job_id, last, lambda: None)) as frames:
            async for told in frames:
                self.seen += [int(sequence) for sequence in re.findall(rb"^id: (\d+)$", told, re.MULTILINE)]


@settings(max_examples=60, deadline=None)
@given(script=st.lists(st.sampled_from(ACTIONS), max_size=30), retries=st.integers(0, 2))
def test_a_client_gets_every_event_of_a_job_once_and_in_order(script: list[Action], retries: int) -> None:
    asyncio.run(_followed(script, _Stored(retries)))


async def _followed(script: list[Action], stored: _Stored) -> None:
    """Events are written and published, late, twice or unseen, while the client breaks off and comes back."""
    async with MemoryBus() as bus:
        feed = LiveFeed(bus, structlog.get_logger())
        # The last event may be lost, too: then the history has to be looked at again.
        api = cast(
            Api,
            SimpleNamespace(service=SimpleNamespace(transitions=stored), feed=feed, timeouts=HttpTimeouts(quiet=0.01)),
        )
        client = _Client(api, stored.job.id)
        client.connect()
        for action in script:
            match action:
                case "write":
                    stored.write()
                case "publish" | "publish twice":
                    if message := stored.next_message():
                        for _ in range(1 if action == "publish" else 2):
                            await bus.publish(topics.EVENTS, message)
                case "lose":
                    stored.next_message()
                case "progress":
                    now = datetime(2024, 1, 1, tzinfo=UTC)
                    await bus.publish(topics.EVENTS, messages.progress(stored.job, {"progress": 0.5}, now))
                case "break":
                    await client.break_off()
                    client.connect()
            await asyncio.sleep(0)  # one turn of the loop, in which the client may read
        while stored.written < len(stored.states) - 1:
            stored.write()
        events = len(stored.job.history)
        async with asyncio.timeout(PATIENCE):
            await client.until(events)
        await client.break_off()
        assert client.seen == list(range(1, events + 1))
        assert feed.readers == 0
        await feed.close()
