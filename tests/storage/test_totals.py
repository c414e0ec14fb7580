"""Totals of lists: small ones are counted each time, large ones remembered for a few seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from batchbus_service.storage.clock import SystemClock
from batchbus_service.storage.mongo.totals import LEAST_REMEMBERED, SECONDS_REMEMBERED, Totals

MANY: Final = LEAST_REMEMBERED


class _Clock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        return self.seconds


class _Jobs:
    """Jobs that can be counted, in that many seconds."""

    def __init__(self, clock: _Clock, number: int, *, takes: float = 0.0) -> None:
        self._clock = clock
        self.number = number
        self._takes = takes
        self.counted = 0

    async def count(self) -> int:
        self._clock.seconds += self._takes
        self.counted += 1
        return self.number


async def test_a_large_total_is_counted_again_only_after_a_few_seconds() -> None:
    clock = _Clock()
    totals, jobs = Totals(clock), _Jobs(clock, MANY)
    assert await totals.total(b"all", jobs.count) == MANY
    jobs.number += 1
    clock.seconds += SECONDS_REMEMBERED - 0.1
    assert await totals.total(b"all", jobs.count) == MANY
    clock.seconds += 0.1
    assert await totals.total(b"all", jobs.count) == MANY + 1


async def test_a_small_total_is_counted_each_time() -> None:
    clock = _Clock()
    totals, jobs = Totals(clock), _Jobs(clock, MANY - 2)
    assert await totals.total(b"mine", jobs.count) == MANY - 2
    jobs.number += 1
    assert await totals.total(b"mine", jobs.count) == MANY - 1


async def test_what_takes_long_to_count_is_remembered_longer() -> None:
    clock = _Clock()
    totals, jobs = Totals(clock), _Jobs(clock, MANY, takes=2.0)
    await totals.total(b"all", jobs.count)
    clock.seconds += 5 * SECONDS_REMEMBERED
    await totals.total(b"all", jobs.count)
    assert jobs.counted == 1


async def test_each_question_has_an_answer_of_its_own_and_the_oldest_are_forgotten() -> None:
    clock = _Clock()
    totals, jobs = Totals(clock), _Jobs(clock, MANY)
    for number in range(300):
        await totals.total(b"%d" % number, jobs.count)
    assert jobs.counted == 300
    await totals.total(b"299", jobs.count)
    assert jobs.counted == 300
    await totals.total(b"0", jobs.count)
    assert jobs.counted == 301
