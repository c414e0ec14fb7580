"""What a subscriber of `batch.events` sees: every event, checked against the catalogue, with signals to wait on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from batchbus_events import topics
from batchbus_events.bus import Bus, Delivery
from batchbus_events.catalog import EVENTS
from batchbus_events.event import Event, check_schema_version, decode
from batchbus_events.ids import new_ulid
from tests.patience import PATIENCE

__all__ = ["Followed"]


class Followed:
    """Every event on `batch.events`, in the order of arrival, repetitions included. Use `Followed.open`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.counts: Counter[str] = Counter()
        """How many events there were of each type."""
        self._lifecycles: dict[str, dict[str, Event]] = defaultdict(dict)
        self._subjects: dict[str, set[str | None]] = defaultdict(set)
        self._faults: list[str] = []
        self._news = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, bus: Bus, *, may_miss: bool = False, replicated: bool = False) -> AsyncIterator[Followed]:
        """When it is left, every event has been as the catalogue says, and every job's sequence in order.

        `may_miss`: somebody unbinds the queue meanwhile, so that a sequence may have gaps. `replicated`: the broker is a
        cluster, whose nodes fail.
        """
        followed = cls()
        arguments: dict[str, Any] = {"x-expires": 60_000}  # durable, as the broker is restarted in some tests
        mine = topics.Queue(
            name=f"tests.followed.{new_ulid()}",
            bindings=(topics.Binding(topics.EVENTS, "batch.#"),),
            arguments={**arguments, "x-queue-type": "quorum"} if replicated else arguments,
        )
        consumer = await bus.consume(mine, followed._arrived, prefetch=1000)
        yield followed
        await consumer.close()
        assert followed._faults == []
        for job_id in followed._lifecycles:
            seen = followed.sequence(job_id)
            assert seen == (sorted(seen) if may_miss else list(range(1, len(seen) + 1))), job_id

    # -- what was seen ---------------------------------------------------------------------------------------------

    def lifecycle(self, job_id: str) -> list[Event]:
        """The job's events that count in its sequence, each once, in the order of their first arrival."""
        return list(self._lifecycles[job_id].values())

    def sequence(self, job_id: str) -> list[int]:
        return [event.sequence or 0 for event in self.lifecycle(job_id)]

    def types(self, job_id: str) -> list[str]:
        """The wire names of `lifecycle`, without their `batch.`."""
        return [event.type.removeprefix("batch.") for event in self.lifecycle(job_id)]

    def all(self, event_type: str, job_id: str | None = None) -> list[Event]:
        return [event for event in self.events if event.type == event_type and job_id in (None, event.subject)]

    @property
    def repeated(self) -> list[str]:
        """Ids of the events that came more than once."""
        return [event_id for event_id, times in Counter(event.id for event in self.events).items() if times > 1]

    # -- waiting ---------------------------------------------------------------------------------------------------

    async def until(self, there: Callable[[], bool], *, patience: float = PATIENCE) -> None:
        """Until the events that have arrived make `there()` true."""
        try:
            async with asyncio.timeout(patience):
                while not there():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"It did not happen within {patience:g} seconds. Seen: {dict(self.counts)}") from None

    async def event(
        self, event_type: str, job_id: str | None = None, *, nth: int = 1, patience: float = PATIENCE
    ) -> Event:
        """The nth event of this type, of any job or of one, repetitions included."""
        await self.until(lambda: len(self.all(event_type, job_id)) >= nth, patience=patience)
        return self.all(event_type, job_id)[nth - 1]

    async def every(self, event_type: str, job_ids: Iterable[str], *, patience: float = PATIENCE) -> None:
        """Until there is one event of this type of each of the jobs."""
        wanted = set(job_ids)
        await self.until(lambda: wanted <= self._subjects[event_type], patience=patience)

    async def message(self, job_id: str, text: str, *, nth: int = 1) -> Event:
        """The nth `batch.progress` of the job with this message: a strategy of ours says where it is."""

        def said() -> list[Event]:
            return [event for event in self.all("batch.progress", job_id) if event.data.get("message") == text]

        await self.until(lambda: len(said()) >= nth)
        return said()[nth - 1]

    async def _arrived(self, delivery: Delivery) -> None:
        try:
            event = decode(delivery.message.body)
            event_type = EVENTS[event.type]
            check_schema_version(event, event_type.dataschema)
            event_type.model.model_validate(event.data)
            assert delivery.message.message_id == event.id
            assert (event.sequence is not None) == event_type.in_sequence
        except Exception as error:  # noqa: BLE001 - the test gets to know when it is over
            self._faults.append(f"{delivery.message.routing_key}: {error!r}")
        else:
            self.events.append(event)
            self.counts[event.type] += 1
            self._subjects[event.type].add(event.subject)
            if event.sequence is not None and event.subject is not None:
                self._lifecycles[event.subject].setdefault(event.id, event)
        await delivery.ack()
        self._news.set()
