"""Logins that a limit has turned away are written down, and cannot fill the audit trail."""

from __future__ import annotations

import pytest

from batchbus_service.access.audit import AuditTrail, LimitedLogins
from tests.storage.memory.access import MemoryAuditStore


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store() -> MemoryAuditStore:
    return MemoryAuditStore()


async def _trail(store: MemoryAuditStore) -> list[tuple[str, str | None]]:
    records, _ = await store.page(by=None, what=None, offset=0, limit=100)
    return [(record.what, record.about) for record in reversed(records)]


async def test_each_address_is_written_down_once_at_each_account_in_a_quarter_of_an_hour(
    store: MemoryAuditStore,
) -> None:
    time = Time()
    logins = LimitedLogins(AuditTrail(store), clock=time)
    for email, address in (("a@b.c", "::1"), ("A@B.C", "::2"), ("d@e.f", "::1"), ("a@b.c", "192.0.2.1")) * 3:
        await logins.note(email, address)
    expected: list[tuple[str, str | None]] = [("login_limited", email) for email in ("a@b.c", "d@e.f", "a@b.c")]
    assert await _trail(store) == expected
    time.now += 901
    await logins.note("a@b.c", "::1")
    assert await _trail(store) == [*expected, ("login_limited", "a@b.c")]


async def test_beyond_so_many_one_record_says_that_the_rest_is_left_out(store: MemoryAuditStore) -> None:
    time = Time()
    logins = LimitedLogins(AuditTrail(store), most=3, clock=time)
    for number in range(50):
        await logins.note(f"{number}@b.c", "::1")
    assert [what for what, _ in await _trail(store)] == ["login_limited"] * 3 + ["logins_limited"]
    time.now += 901
    await logins.note("0@b.c", "::1")
    assert (await _trail(store))[-1] == ("login_limited", "0@b.c")
