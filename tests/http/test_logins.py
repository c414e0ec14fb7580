"""The limit on failed logins: whom it stops, for how long, and whom it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from batchbus_service.access import FailureLimits, Logins, Role, User
from batchbus_service.access.passwords import AT_A_TIME
from batchbus_service.domain.errors import TryLater
from batchbus_service.storage.mongo.access import MongoLoginStore

ANN = User(
    id="usr_ann",
    email="ann@example.com",
    role=Role.MEMBER,
    created_at=datetime.now(UTC),
    updated_at=datetime.now(UTC),
)
RIGHT = "the right password"
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.2"
LIMITS = FailureLimits(address_at_account=3, address=5, account=7, share=1, account_at_most=12)
Open = Callable[..., Logins]


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **more: float) -> None:
        self.now += timedelta(**more)


async def _is_ann(email: str, password: str) -> User | None:
    return ANN if (email.lower(), password) == (ANN.email, RIGHT) else None


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def process(mongo_url: str, database_name: str, time: Time) -> AsyncIterator[Open]:
    """Opens what a process has of it; all of them share a database."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    database: AsyncIOMotorDatabase[dict[str, Any]] = client[database_name[-38:]]

    def opened(check: Callable[[str, str], Awaitable[User | None]] = _is_ann) -> Logins:
        return Logins(MongoLoginStore(database), check, limits=LIMITS, clock=time)

    yield opened
    client.close()


@pytest.fixture
def logins(process: Open) -> Logins:
    return process()


async def _fail(logins: Logins, times: int, *, email: str = ANN.email, address: str = HOME) -> None:
    for _ in range(times):
        assert await logins.sign_in(email, "wrong", address) is None


async def _refused(logins: Logins, *, email: str = ANN.email, address: str = HOME) -> int:
    with pytest.raises(TryLater, match="Too many failed logins") as refusal:
        await logins.sign_in(email, RIGHT, address)
    return refusal.value.seconds


async def test_an_address_that_fails_too_often_is_refused_even_with_the_right_password(logins: Logins) -> None:
    await _fail(logins, 3)
    assert await _refused(logins) == 15 * 60


async def test_the_refusal_ends_by_itself_however_often_one_asks_meanwhile(logins: Logins, time: Time) -> None:
    await _fail(logins, 3)
    for _ in range(3):
        time.passes(minutes=4)
        await _refused(logins)
    time.passes(minutes=3)
    assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN


async def test_failures_are_counted_anew_when_their_time_is_over(logins: Logins, time: Time) -> None:
    await _fail(logins, 2)
    time.passes(minutes=16)
    await _fail(logins, 2)
    assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN


async def test_the_right_password_from_another_address_lets_in_all_the_while(logins: Logins) -> None:
    await _fail(logins, 3)
    await _refused(logins)
    assert await logins.sign_in(ANN.email, RIGHT, ELSEWHERE) == ANN


async def test_a_login_that_succeeds_forgives_those_that_failed(logins: Logins) -> None:
    for _ in range(2):
        await _fail(logins, 2)
        assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN


async def test_every_process_knows_what_failed_in_the_others(process: Open) -> None:
    for logins in (process(), process(), process()):
        await _fail(logins, 1)
    await _refused(process())


async def test_an_address_that_tries_many_accounts_is_refused_at_all_of_them(logins: Logins) -> None:
    for number in range(5):
        await _fail(logins, 1, email=f"user{number}@example.com")
    await _refused(logins)


async def test_guesses_from_many_addresses_leave_a_share_to_each_other_one(logins: Logins) -> None:
    for number in range(7):
        await _fail(logins, 1, address=f"203.0.113.{number}")
    await _refused(logins, address="203.0.113.1")
    assert await logins.sign_in(ANN.email, RIGHT, ELSEWHERE) == ANN


async def test_guesses_from_ever_more_addresses_stop_all_strangers_for_a_while(logins: Logins, time: Time) -> None:
    for number in range(12):
        await _fail(logins, 1, address=f"203.0.113.{number}")
    await _refused(logins, address=ELSEWHERE)
    time.passes(minutes=15)
    assert await logins.sign_in(ANN.email, RIGHT, ELSEWHERE) == ANN


async def test_strangers_cannot_lock_out_an_address_from_which_the_owner_came_lately(
    logins: Logins, time: Time
) -> None:
    assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN
    time.passes(days=29)
    for number in range(12):
        await _fail(logins, 1, address=f"203.0.113.{number}")
    await _refused(logins, address=ELSEWHERE)
    assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN


async def test_an_account_that_does_not_exist_is_refused_like_one_that_does(logins: Logins) -> None:
    await _fail(logins, 3, email="nobody@example.com")
    await _refused(logins, email="Nobody@Example.com")


async def test_all_addresses_of_an_ipv6_network_count_as_one(logins: Logins) -> None:
    for number in range(3):
        await _fail(logins, 1, address=f"2001:db8::{number}")
    await _refused(logins, address="2001:db8::ffff")
    assert await logins.sign_in(ANN.email, RIGHT, "2001:db8:0:1::1") == ANN


async def test_of_many_guesses_at_the_same_moment_no_more_are_checked_than_may_fail(process: Open) -> None:
    checked = 0

    async def never(_email: str, _password: str) -> User | None:
        nonlocal checked
        checked += 1
        await asyncio.sleep(0)  # one turn of the loop, in which other guesses begin
        return None

    logins = process(never)
    guesses = (logins.sign_in(ANN.email, f"guess {number}", HOME) for number in range(50))
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)
    assert outcomes.count(None) == checked <= 3 + AT_A_TIME - 1
    assert sum(isinstance(outcome, TryLater) for outcome in outcomes) == 50 - checked


async def test_a_flood_of_logins_waits_for_its_turn_up_to_a_length(process: Open) -> None:
    running, all_turns_taken, go_on = 0, asyncio.Event(), asyncio.Event()

    async def slow(_email: str, _password: str) -> User | None:
        nonlocal running
        running += 1
        assert running <= AT_A_TIME
        if running == AT_A_TIME:
            all_turns_taken.set()
        await go_on.wait()
        running -= 1
        return ANN

    logins = process(slow)
    asked = [
        asyncio.create_task(logins.sign_in(f"user{number}@example.com", RIGHT, f"10.0.0.{number}"))
        for number in range(150)
    ]
    for _, refused in zip(range(50), asyncio.as_completed(asked), strict=False):
        with pytest.raises(TryLater, match="at the same moment"):
            await refused
    await all_turns_taken.wait()
    go_on.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert outcomes.count(ANN) == 100


class Gate:
    """Checks of passwords that wait until the gate is opened."""

    def __init__(self) -> None:
        self.go_on, self.waiting = asyncio.Event(), asyncio.Semaphore(0)

    async def __call__(self, email: str, password: str) -> User | None:
        if password == "slow":
            self.waiting.release()
            await self.go_on.wait()
        return await _is_ann(email, password)


@pytest.mark.parametrize("same_process", [True, False])
async def test_a_flood_of_strangers_does_not_hold_up_an_address_that_is_known(
    process: Open, same_process: bool
) -> None:
    gate = Gate()
    logins = process(gate)
    assert await (logins if same_process else process()).sign_in(ANN.email, RIGHT, HOME) == ANN
    flood = [
        asyncio.create_task(logins.sign_in(f"user{number}@example.com", "slow", f"10.0.0.{number}"))
        for number in range(100)
    ]
    for _ in range(AT_A_TIME):
        await gate.waiting.acquire()
    assert await logins.sign_in(ANN.email, RIGHT, HOME) == ANN
    with pytest.raises(TryLater, match="at the same moment"):
        await logins.sign_in(ANN.email, RIGHT, ELSEWHERE)
    gate.go_on.set()
    await asyncio.gather(*flood)


async def test_one_address_does_not_fill_a_lane(process: Open) -> None:
    gate = Gate()
    logins = process(gate)
    flood = [asyncio.create_task(logins.sign_in(f"u{n}@example.com", "slow", HOME)) for n in range(80)]
    for _ in range(AT_A_TIME):
        await gate.waiting.acquire()
    gate.go_on.set()
    assert await logins.sign_in(ANN.email, RIGHT, ELSEWHERE) == ANN
    outcomes = await asyncio.gather(*flood, return_exceptions=True)
    assert sum(isinstance(outcome, TryLater) for outcome in outcomes) >= 30
