"""The topology as data: exchanges, routing keys, bindings and queues, by the names everyone holds on to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

__all__ = [
    "BATCH_TYPE",
    "EVENTS",
    "EXCHANGES",
    "HELD_QUEUE",
    "HOLD_SECONDS",
    "LIFECYCLE",
    "LOG_QUEUE",
    "MAX_KEY",
    "PARKED",
    "PARKED_QUEUE",
    "TRIGGERS",
    "TRIGGERS_QUEUE",
    "WORKERS",
    "Binding",
    "Exchange",
    "Queue",
    "matches",
    "routing_key",
    "shared_queues",
    "worker_queue",
]

BATCH_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A batch type, as a whole (use `fullmatch`): one word of a routing key, so without dots."""

TRIGGERS: Final = "batch.triggers"
EVENTS: Final = "batch.events"
PARKED: Final = "batch.parked"
WORKERS: Final = "batch.workers"

MAX_KEY: Final = 255
"""Bytes that a routing key or a pattern may have: section 4.2.5.3 of AMQP 0-9-1."""

HOLD_SECONDS: Final = 30
"""How long a held message rests before it is delivered again."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange. `kind` is the AMQP type: `topic` or `fanout`."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Binding:
    """Messages of `exchange` whose routing key matches `pattern` go to the queue; a fanout ignores the pattern."""

    exchange: str
    pattern: str = "#"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue with its bindings. `arguments` are the AMQP `x-` arguments it is declared with."""

    name: str
    bindings: tuple[Binding, ...] = ()
    durable: bool = True
    exclusive: bool = False
    arguments: Mapping[str, str | int] = field(default_factory=dict)


EXCHANGES: Final = (
    Exchange(TRIGGERS, "topic"),
    Exchange(EVENTS, "topic"),
    Exchange(PARKED, "fanout"),
    Exchange(WORKERS, "fanout"),
)

TRIGGERS_QUEUE: Final = Queue(
    name="batchbus.triggers",
    bindings=(Binding(TRIGGERS, "batch.#"),),
    arguments={
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-dead-letter-exchange": PARKED,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    },
)

PARKED_QUEUE: Final = Queue(
    name="batchbus.parked",
    bindings=(Binding(PARKED),),
    arguments={"x-queue-type": "quorum"},
)

HELD_QUEUE: Final = Queue(
    name="batchbus.held",
    arguments={
        "x-queue-type": "quorum",
        "x-message-ttl": HOLD_SECONDS * 1000,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": TRIGGERS_QUEUE.name,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    },
)
"""Where held triggers rest; when their time is up the broker puts them back into `batchbus.triggers`."""

LIFECYCLE: Final = ("created", "pre_processed", "confirmed", "processing", "completed", "failed", "canceled", "updated")
"""What follows `batch.` in the routing keys of events that are kept: in the jobs' histories, and in the log."""

LOG_QUEUE: Final = Queue(
    name="batchbus.log",
    bindings=tuple(Binding(EVENTS, f"batch.{word}.#") for word in LIFECYCLE),
    arguments={
        "x-queue-type": "stream",
        "x-max-age": "14D",
        "x-max-length-bytes": 10_000_000_000,
        "x-stream-max-segment-size-bytes": 100_000_000,
    },
)


def shared_queues() -> tuple[Queue, ...]:
    """The queues that every process declares."""
    return PARKED_QUEUE, TRIGGERS_QUEUE, HELD_QUEUE, LOG_QUEUE


def worker_queue(worker_id: str) -> Queue:
    """The queue that interrupts runs of one worker process and wakes its free slots. Ends with the process."""
    return Queue(
        name=f"batchbus.worker.{worker_id}",
        bindings=(Binding(EVENTS, "batch.canceled.#"), Binding(WORKERS)),
        durable=False,
        exclusive=True,
        arguments={"x-max-length": 1000},
    )


def routing_key(event: str, batch_type: str | None = None, job_id: str | None = None) -> str:
    """`batch.<event>[.<batch type>[.<job id>]]`, where `event` is a wire name such as `batch.created`."""
    return ".".join(part for part in (event, batch_type, job_id if batch_type else None) if part)


def matches(pattern: str, key: str) -> bool:
    """Whether an AMQP topic pattern (`*` one word, `#` none or more) matches a routing key, in linear time.

    A pattern that is longer than a routing key may be, which is 255 bytes, matches nothing: the broker would refuse it.
    """
    return len(pattern) <= MAX_KEY and _Pattern.of(pattern).matches(key.split("."))


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A pattern as an automaton, whose states are the bits of a number: all ways to match are followed at once.

    State n is that all words of the pattern before the one at n are matched. See Baeza-Yates and Gonnet, "A new approach
    to text searching" (1992).
    """

    hashes: int
    """The states that a `#` stands behind: they may be stayed in, and passed by."""
    stars: int
    states_of: Mapping[str, int]
    """The states in which each word goes on."""
    end: int

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, pattern: str) -> _Pattern:
        hashes = stars = 0
        state, before = 1, ""
        states_of: dict[str, int] = {}
        for word in pattern.split("."):
            if word == "#" == before:
                continue  # says no more than one of them
            if word == "#":
                hashes |= state
            elif word == "*":
                stars |= state
            else:
                states_of[word] = states_of.get(word, 0) | state
            state, before = state << 1, word
        return cls(hashes, stars, states_of, state)

    def matches(self, words: Iterable[str]) -> bool:
        reached = self._with_passed(1)
        for word in words:
            on = (self.stars | self.states_of.get(word, 0)) & reached
            reached = self._with_passed((self.hashes & reached) | (on << 1))
            if not reached:
                return False
        return bool(reached & self.end)

    def _with_passed(self, reached: int) -> int:
        return reached | ((reached & self.hashes) << 1)
