"""How much each may have is limited, and is counted far more seldom than it is taken."""

from __future__ import annotations

import asyncio

import pytest

from batchbus_service.access.quota import Quota, Taking
from batchbus_service.domain.errors import TooManyJobs


class Counted:
    """What a database has of each owner. Several processes may have a quota of it."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.there: dict[str, int] = {}
        self.counts = 0
        self.time = 100.0
        self.slow = 0.0
        """Seconds that a count takes."""

    def process(self, *, remembered: int = 100) -> Quota:
        return Quota(self.most, self._count, TooManyJobs, remembered=remembered, clock=lambda: self.time)

    async def _count(self, owner: str, up_to: int) -> int:
        self.counts += 1
        self.time += self.slow
        await asyncio.sleep(0)  # others go on while it counts
        return min(up_to, self.there.get(owner, 0))

    async def add(self, quota: Quota, owner: str = "ann", amount: int = 1) -> None:
        async with quota.taking(owner) as taking:
            await taking.take(amount)
            self.there[owner] = self.there.get(owner, 0) + amount

    async def fill(self, quota: Quota, owner: str = "ann", amount: int = 1) -> int:
        """Take until it is refused. Returns how much there is then."""
        with pytest.raises(TooManyJobs):
            while True:
                await self.add(quota, owner, amount)
        return self.there[owner]


@pytest.mark.parametrize("most", [1, 3, 99, 100, 1000])
async def test_one_process_lets_each_owner_have_so_many_and_not_one_more(most: int) -> None:
    counted = Counted(most)
    quota = counted.process()
    assert (await counted.fill(quota), await counted.fill(quota, "bob")) == (most, most)


async def test_a_process_that_has_just_begun_lets_a_hundredth_through_that_it_has_not_counted() -> None:
    counted = Counted(1000)
    await counted.fill(counted.process())
    assert await counted.fill(counted.process()) == 1010
    assert await counted.fill(counted.process()) == 1020


async def test_four_processes_that_count_at_the_same_moment_let_no_more_through_than_their_hundredths() -> None:
    counted = Counted(1000)
    processes = [counted.process() for _ in range(4)]

    async def fill(quota: Quota) -> None:
        with pytest.raises(TooManyJobs):
            while True:
                await counted.add(quota)
                await asyncio.sleep(0)  # the next process has its turn

    await asyncio.gather(*(fill(quota) for quota in processes))
    assert 1000 <= counted.there["ann"] <= 1040


async def test_what_is_taken_is_seldom_counted() -> None:
    counted = Counted(10_000)
    quota = counted.process()
    for _ in range(100):
        await counted.add(quota)
    assert counted.counts == 0
    await counted.fill(quota)
    assert counted.counts <= 30
    for _ in range(100):
        with pytest.raises(TooManyJobs):
            await counted.add(quota)
    assert counted.counts <= 30


async def test_a_refusal_stands_for_a_second_unless_the_owner_has_less_by_then() -> None:
    counted = Counted(3)
    quota = counted.process()
    await counted.fill(quota)
    counted.there["ann"] = 0
    with pytest.raises(TooManyJobs, match="3 batch jobs") as refused:
        await counted.add(quota)
    assert refused.value.seconds == 1
    counted.time += 1.1
    await counted.fill(quota)
    counted.there["ann"] = 0
    quota.freed("ann")
    assert await counted.fill(quota) == 3


async def test_near_the_limit_counting_takes_no_more_than_a_tenth_of_the_time() -> None:
    counted = Counted(1000)
    quota = counted.process()
    await counted.fill(quota)
    counted.slow = 2.0
    counted.time += 100
    counted.counts, began = 0, counted.time
    while counted.time < began + 200:
        counted.there["ann"] = 999  # one ends whenever there is room for one, so a count finds room for one
        try:
            await counted.add(quota)
        except TooManyJobs as refused:
            counted.time += refused.seconds
    assert counted.counts * counted.slow <= 0.1 * 200 + counted.slow


async def test_of_many_that_take_at_the_same_moment_none_is_left_out() -> None:
    counted = Counted(10)
    quota = counted.process()
    held = asyncio.Event()

    async def add() -> bool:
        async with quota.taking("ann") as taking:
            try:
                await taking.take()
            except TooManyJobs:
                return False
            await held.wait()  # it is on its way to the database, which does not count it yet
            return True

    tasks = [asyncio.create_task(add()) for _ in range(30)]
    for _ in range(200):
        await asyncio.sleep(0)  # all of them come to where they wait
    held.set()
    assert sum(await asyncio.gather(*tasks)) == 10


async def test_what_was_given_up_may_be_taken_again() -> None:
    counted = Counted(10)
    quota = counted.process()

    async def broken(taking: Taking) -> None:
        await taking.take(8)
        raise OSError("the disk is gone")

    for _ in range(5):
        with pytest.raises(OSError, match="disk"):
            async with quota.taking("ann") as taking:
                await broken(taking)
    await quota.require("ann", 10)


async def test_owners_that_were_there_first_make_way() -> None:
    counted = Counted(1)
    quota = counted.process(remembered=3)
    for owner in "abcdef":
        await counted.add(quota, owner)
    assert quota.owners == ["d", "e", "f"]
