"""Identifiers: ULIDs, and ids of the same form that are derived from something else."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from typing import Final

__all__ = ["JOB_ID", "derived_job_id", "derived_ulid", "new_job_id", "new_ulid", "new_ulids"]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _ALPHABET for low in _ALPHABET]
_RANDOM_BITS: Final = 80
_TAIL_BITS: Final = 30

JOB_ID: Final = re.compile(r"batch_[0-7][0-9A-HJKMNP-TV-Z]{25}")
"""A job id, as a whole (use `fullmatch`): `batch_` and 26 characters of Crockford base 32."""

_lock = threading.Lock()
_last = 0


def new_ulid() -> str:
    """A ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 of chance; ever rising within a process."""
    global _last
    with _lock:
        _last = _next()
        return _crockford(_last)


def new_ulids(count: int) -> list[str]:
    """So many ULIDs, in rising order, at a fraction of the cost of as many calls of `new_ulid`."""
    global _last
    with _lock:
        first = _next()
        if first % (1 << _TAIL_BITS) + count > 1 << _TAIL_BITS:  # all of them are to have the same first 20 characters
            first = (first >> _TAIL_BITS) + 1 << _TAIL_BITS
        _last = first + count
    head = _crockford(first)[:20]
    tail = first % (1 << _TAIL_BITS)
    pairs = _PAIRS
    return [f"{head}{pairs[n >> 20]}{pairs[n >> 10 & 1023]}{pairs[n & 1023]}" for n in range(tail, tail + count)]


def ulid_seconds(ulid: str) -> float:
    """When a ULID was made, in seconds since 1970."""
    milliseconds = 0
    for character in ulid[:10]:
        milliseconds = milliseconds << 5 | _ALPHABET.index(character)
    return milliseconds / 1000


def new_job_id() -> str:
    return "batch_" + new_ulid()


def derived_job_id(kind: str, *parts: str) -> str:
    """The one job id that belongs to these parts.

    `kind` keeps name spaces apart: ("key", principal, idempotency key), ("event", source, event id).
    """
    return "batch_" + derived_ulid(kind, *parts)


def derived_ulid(kind: str, *parts: str) -> str:
    """What has the form of a ULID and belongs to these parts: 128 bits of SHA-256 over each, behind its length."""
    digest = hashlib.sha256()
    for part in (kind, *parts):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    return _crockford(int.from_bytes(digest.digest()[:16]))


def _next() -> int:
    value = (time.time_ns() // 1_000_000) << _RANDOM_BITS | int.from_bytes(os.urandom(10))
    if value >> _RANDOM_BITS <= _last >> _RANDOM_BITS:
        value = _last + 1 + int.from_bytes(os.urandom(4))
    return value


def _crockford(value: int) -> str:
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]
    return "".join(pairs)
