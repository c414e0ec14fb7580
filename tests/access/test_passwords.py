"""Passwords: how they are hashed, and how much of that goes on at the same moment."""

from __future__ import annotations

import asyncio
import threading

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.low_level import Type

from batchbus_service.access import passwords
from batchbus_service.access.passwords import IN_ALL, Passwords

PASSWORD = "correct horse battery staple"


async def test_a_password_is_hashed_with_argon2id_as_rfc_9106_has_it_for_servers_with_little_memory() -> None:
    parameters = extract_parameters(await Passwords().hash(PASSWORD))
    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (64 * 1024, 3, 4)


async def test_a_password_is_known_again_and_no_other_is() -> None:
    known = await Passwords().hash(PASSWORD)
    assert await Passwords().verify(known, PASSWORD)
    assert not await Passwords().verify(known, f"{PASSWORD} ")
    assert not await Passwords().verify("no hash at all", PASSWORD)


class Counting(PasswordHasher):
    """Says how many hash at the same moment; the first ones wait for each other."""

    def __init__(self) -> None:
        super().__init__()
        self.verified = 0
        self.running = 0
        self.counting = threading.Lock()
        self.together = threading.Barrier(IN_ALL)

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        return "decoy"

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        with self.counting:
            self.verified += 1
            self.running += 1
            assert self.running <= IN_ALL
        self.together.wait(timeout=60)
        with self.counting:
            self.running -= 1
        return True


async def test_without_a_hash_there_is_as_much_to_do_and_it_is_never_right(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Counting()
    hasher.together = threading.Barrier(1)
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: hasher)
    assert not await Passwords().verify(None, PASSWORD)
    assert hasher.verified == 1


async def test_a_few_are_hashed_at_the_same_moment_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Counting()
    monkeypatch.setattr(passwords, "PasswordHasher", lambda: hasher)
    ours = Passwords()
    assert all(await asyncio.gather(*(ours.verify("known", PASSWORD) for _ in range(2 * IN_ALL))))
    assert hasher.verified == 2 * IN_ALL
