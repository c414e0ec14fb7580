"""Looking for the first entries of a long range: in order, nothing missed, and at the cost of a few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from batchbus_service.storage.mongo.range_search import RangeSearch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WANT = 32


class Range:
    """An index range of times, which counts what is read of it."""

    def __init__(self, *times: datetime) -> None:
        self.times = list(times)
        self.read = 0
        self.fetches = 0

    async def fetch(self, after: datetime, up_to: datetime) -> list[datetime]:
        found = [time for time in self.times if after < time <= up_to]
        self.read += len(found)
        self.fetches += 1
        return found


def seconds(number: float) -> datetime:
    return NOW + timedelta(seconds=number)


def search_of() -> RangeSearch[datetime]:
    return RangeSearch(lambda time: time)


async def test_a_backlog_is_worked_off_from_its_old_end_at_the_cost_of_a_few() -> None:
    range_, search = Range(*(seconds(number / 300) for number in range(5_000))), search_of()
    await search.first(range_.fetch, seconds(20), WANT)
    range_.read = range_.fetches = 0
    searches = 0
    while range_.times:
        found = await search.first(range_.fetch, seconds(20 + searches / 10), WANT)
        assert found == range_.times[: len(found)] and found
        del range_.times[: len(found)]
        searches += 1
    assert range_.read < 5_000 * 4
    assert range_.fetches < searches * 4


async def test_what_lands_below_the_low_end_is_found_by_the_next_search() -> None:
    """A write takes its time: an entry may come up after a younger one was found and taken."""
    random = Random(1)
    range_, search = Range(), search_of()
    landing = sorted((seconds(number / 20 + random.uniform(0, 3)), seconds(number / 20)) for number in range(2_000))
    taken: list[datetime] = []
    now = NOW
    while len(taken) < 2_000:
        now += timedelta(seconds=0.5)
        landed = [entry for lands, entry in landing if now - timedelta(seconds=0.5) < lands <= now]
        range_.times += landed
        found = await search.first(range_.fetch, now, 1000)
        assert set(landed) <= set(found), "found at once"
        range_.times = [time for time in range_.times if time not in found[:20]]
        taken += found[:20]
    assert range_.times == []


async def test_what_lands_very_late_is_found_within_a_minute_or_so() -> None:
    range_, search = Range(), search_of()
    assert await search.first(range_.fetch, seconds(0), WANT) == []
    range_.times = [seconds(-3600)]
    assert await search.first(range_.fetch, seconds(61), WANT) == [seconds(-3600)]


async def test_an_idle_range_costs_one_read_of_nothing() -> None:
    range_, search = Range(), search_of()
    await search.first(range_.fetch, seconds(0), WANT)
    range_.fetches = 0
    for number in range(1, 11):
        assert await search.first(range_.fetch, seconds(number), WANT) == []
    assert range_.fetches == 10
