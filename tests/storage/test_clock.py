"""Time as the database has it, whoever sets which clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
import structlog

from batchbus_service.domain.errors import StoreUnavailable
from batchbus_service.storage import clock as module
from batchbus_service.storage.clock import ServerClock

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


class Server:
    """A database with a clock that can be set, and a way to it that takes a while."""

    def __init__(self) -> None:
        self.stopwatch = 1000.0
        self.set_ahead = timedelta(0)
        self.takes = 0.002
        self.away = False
        self.asked = 0

    async def time(self) -> datetime:
        self.asked += 1
        self.stopwatch += self.takes / 2
        time = BEGIN + timedelta(seconds=self.stopwatch) + self.set_ahead
        self.stopwatch += self.takes / 2
        if self.away:
            raise StoreUnavailable("away")
        return time


class Stopped(ServerClock):
    """On a stopwatch that the test moves."""

    def __init__(self, server: Server) -> None:
        self._fake = server
        super().__init__(cast(Any, server), structlog.get_logger())

    def monotonic(self) -> float:
        return self._fake.stopwatch


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def clock(server: Server) -> Stopped:
    """It has run for long enough to know that nobody had set the server's clock just before it began."""
    clock = Stopped(server)
    await clock.measure()
    server.stopwatch += 61
    return clock


def off(clock: Stopped, server: Server) -> float:
    return abs((clock.now() - BEGIN - timedelta(seconds=server.stopwatch) - server.set_ahead).total_seconds())


async def test_it_is_the_time_of_the_database_whatever_this_machine_thinks(
    clock: Stopped, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AnHourAhead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> AnHourAhead:
            return cls.fromtimestamp(datetime.now(UTC).timestamp() + 3600, tz)

    assert off(clock, server) < 0.1
    monkeypatch.setattr(module, "datetime", AnHourAhead)
    server.stopwatch += 5
    assert off(clock, server) < 0.1
    await clock.measure()
    assert off(clock, server) < 0.1
    assert await clock.sure()


async def test_while_not_all_can_know_that_the_clock_of_the_database_was_set_nothing_is_judged_by_it(
    clock: Stopped, server: Server
) -> None:
    assert await clock.sure()
    server.set_ahead = timedelta(hours=1)
    server.stopwatch += 2
    assert not await clock.sure(), "it asks before it answers"
    assert off(clock, server) < 0.1
    server.stopwatch += 59
    assert not await clock.sure()
    server.stopwatch += 2
    assert await clock.sure()
    server.set_ahead = timedelta(hours=-1)
    server.stopwatch += 2
    assert not await clock.sure()


async def test_clocks_that_drift_are_no_reason_to_wait(clock: Stopped, server: Server) -> None:
    server.set_ahead = timedelta(seconds=0.5)
    server.stopwatch += 2
    assert await clock.sure()
    assert off(clock, server) < 0.1


async def test_an_answer_that_took_long_moves_nothing_that_it_does_not_prove(clock: Stopped, server: Server) -> None:
    before = clock.now() - timedelta(seconds=server.stopwatch)
    server.takes = 8.0
    await clock.measure()
    assert clock.now() - timedelta(seconds=server.stopwatch) == before


async def test_an_answer_that_took_long_does_not_prove_that_nobody_has_set_the_clock(
    clock: Stopped, server: Server
) -> None:
    server.stopwatch += 100
    await clock.measure()
    server.stopwatch += 29
    server.set_ahead = timedelta(seconds=-15)
    server.takes = 30.0
    assert not await clock.sure()
    assert await clock.sure(within=60.0), "it is not wrong by much more than the answer took"
    server.stopwatch += 2
    server.takes = 0.002
    assert not await clock.sure(), "it was set, and not all can know that yet"
    server.stopwatch += 61
    assert await clock.sure()


async def test_a_database_that_is_always_slow_proves_that_the_clock_is_about_right(
    clock: Stopped, server: Server
) -> None:
    server.takes = 9.0
    for _ in range(10):
        server.stopwatch += 30
        assert not await clock.sure()
        assert await clock.sure(within=20.0)


async def test_nothing_is_sure_while_the_database_does_not_answer_and_it_is_asked_once_a_second(
    clock: Stopped, server: Server
) -> None:
    assert await clock.sure()
    asked = server.asked
    assert await clock.sure()
    assert server.asked == asked
    server.away = True
    server.stopwatch += 2
    assert not await clock.sure()


async def test_whoever_was_frozen_while_the_answer_came_does_not_think_that_the_clock_was_set(server: Server) -> None:
    clock = Stopped(server)
    await clock.measure()

    async def answered_late() -> datetime:
        server.stopwatch += 90.0
        return BEGIN + timedelta(seconds=server.stopwatch, milliseconds=2)

    server.time = answered_late  # type: ignore[method-assign]
    await clock.measure()
    assert clock.settled()
    assert off(clock, server) < 0.1


async def test_a_process_that_begins_does_not_know_whether_the_clock_was_set_just_before(server: Server) -> None:
    clock = Stopped(server)
    await clock.measure()
    assert clock.settled()
    assert not await clock.sure()
    server.stopwatch += 61
    assert await clock.sure()


async def test_processes_that_renew_their_leases_seldom_are_given_more_time(server: Server) -> None:
    clock = ServerClock(cast(Any, server), structlog.get_logger(), renewed_every=1000.0)
    clock.monotonic = lambda: server.stopwatch  # type: ignore[method-assign]
    await clock.measure()
    server.stopwatch += 1000
    assert not await clock.sure()
    server.stopwatch += 60
    assert await clock.sure()


@pytest.mark.parametrize("froze_for", [0.5, 9.0, 90.0])
@pytest.mark.parametrize("first_took", [0.002, 0.5, 8.0])
async def test_two_slow_answers_one_after_the_other_do_not_set_the_clock(first_took: float, froze_for: float) -> None:
    server = Server()
    clock = Stopped(server)
    server.takes = first_took
    await clock.measure()
    before = clock.now() - timedelta(seconds=server.stopwatch)

    async def answered_at_once() -> datetime:
        time = BEGIN + timedelta(seconds=server.stopwatch)
        server.stopwatch += froze_for
        return time

    server.time = answered_at_once  # type: ignore[method-assign]
    await clock.measure()
    assert clock.settled()
    if froze_for > first_took:
        assert clock.now() - timedelta(seconds=server.stopwatch) == before, "the more exact one stays"
