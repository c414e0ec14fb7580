"""The Bus port: what batchbus needs of a message broker, and what it may rely on.

Two adapters keep this contract: `rabbitmq.RabbitBus` and `memory.MemoryBus`. One test suite runs against both.

The delivery contract:

* `publish` returns once the broker has taken responsibility for the message (a publisher confirm).
  If it raises, the message may or may not have been published: publish it again, with the same message id.
* Every message of a queue is delivered at least once. A delivery that was not acknowledged when its
  consumer went away (crash, lost connection, `Consumer.close`) is delivered again.
* A handler acknowledges explicitly. A handler that raises acknowledges nothing: the delivery stays
  open, the error is logged, and it is delivered again when its consumer goes away.
* Deliveries of one consumer are handed over in order; handlers run side by side, at most `prefetch` at a time.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

from batchbus_events.topics import Queue

__all__ = [
    "HELD_SINCE",
    "PRINCIPAL",
    "ROUTING_KEY",
    "USER_ID",
    "Bus",
    "BusError",
    "BusUnavailable",
    "Consumer",
    "Delivery",
    "Handler",
    "LogGap",
    "Message",
    "PublishRefused",
    "QueueState",
    "TopologyMismatch",
    "Unroutable",
    "VhostUnavailable",
]


HELD_SINCE: Final = "batchbus-held-since"
"""Header of a message that was set aside: when that was first, in seconds since 1970."""
ROUTING_KEY: Final = "batchbus-routing-key"
USER_ID: Final = "batchbus-user-id"
"""Headers of a message sent to one queue: the routing key and the user that it would have had otherwise."""
PRINCIPAL: Final = "batchbus-principal"
"""Header of a message that batchbus publishes for someone else: who that is. It is believed from batchbus's own user alone."""


class BusError(Exception):
    """Something went wrong between batchbus and the message broker."""


class BusUnavailable(BusError):
    """The broker cannot be reached, or did not answer in time."""


class VhostUnavailable(BusUnavailable):
    """The broker does not open the virtual host that the address names: there is none, it is down, or not for this user."""

    def __init__(self, vhost: str, user: str) -> None:
        super().__init__(f"RabbitMQ has no virtual host {vhost}, or does not open it to {user}")
        self.vhost = vhost
        """Its name."""
        self.user = user
        """Who was to use it."""


class PublishRefused(BusError):
    """The broker refused the message (a nack): a queue that it is bound to is full, or has no leader at the moment."""


class Unroutable(BusError):
    """The message was published as mandatory, and no queue is bound for its routing key."""


class TopologyMismatch(BusError):
    """A queue or exchange exists with other arguments than batchbus declares; they cannot be changed in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes over the wire: an encoded event and what the broker has to know to route it."""

    body: bytes
    """The encoded event: JSON in UTF-8, of at most `event.MAX_BYTES` bytes."""
    routing_key: str
    """The words by which the broker chooses queues, as `topics.routing_key` puts them together."""
    message_id: str | None = None
    """The event's id."""
    content_type: str = "application/cloudevents+json"
    """The media type of the body."""
    headers: Mapping[str, str | int | bool] = field(default_factory=dict)
    """What the broker and other readers add to the message. The event itself is in the body alone."""
    user_id: str | None = None
    """Who published it, vouched for by the broker; None where the broker does not vouch. Read-only."""

    def addressed(self, queue: str) -> Message:
        """The same, to be published to the exchange "" for one queue.

        Its reader sees the routing key that it has now, and the user, if the broker vouches that they sent it.
        """
        return replace(
            self,
            routing_key=queue,
            headers={**self.headers, ROUTING_KEY: self.routing_key, USER_ID: self.user_id or ""},
        )

    def held(self, now: datetime) -> Message:
        """The same, with the time since when it is set aside."""
        return replace(self, headers={HELD_SINCE: int(now.timestamp()), **self.headers})


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the broker says of a queue at one moment."""

    messages: int | None
    """That wait to be delivered; None of a queue that is exclusive to another connection, which alone may ask."""
    consumers: int | None
    """None as with `messages`."""


@dataclass(frozen=True, slots=True)
class LogGap:
    """Stands between two entries of the log, or before the first: what was published there may be missing."""

    certain: bool
    """Whether entries are known to be gone. If not, the log begins here, and who knows what was before."""


class Delivery(Protocol):
    """One message taken off a queue, open until it is acknowledged or put back."""

    @property
    def message(self) -> Message:
        """The message as it was published, with what the broker says of it."""

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before."""

    async def ack(self) -> None:
        """The message is dealt with. Does nothing on a delivery whose consumer has gone: it comes again."""

    async def requeue(self) -> None:
        """Put it back at once, for this consumer or another. Counts towards the queue's delivery limit."""

    async def hold(self) -> None:
        """Set it aside and have it delivered again after `topics.HOLD_SECONDS`, without counting as a failure.

        For a message that this process cannot read yet, such as one of a newer schema version. `HELD_SINCE` in its
        headers tells its next reader when it was held first. Raises `BusError`: it is still open then.
        """


Handler = Callable[[Delivery], Awaitable[None]]


class Consumer(Protocol):
    """A running subscription to one queue."""

    async def pause(self) -> None:
        """Stop taking messages. Deliveries already handed over stay open and can still be acknowledged."""

    async def resume(self) -> None:
        """Take messages again after `pause`."""

    async def close(self) -> None:
        """Stop taking messages, wait for running handlers, and give open deliveries back."""


class Bus(Protocol):
    """A message broker. Connect with the adapter's `open` context manager."""

    async def publish(self, exchange: str, message: Message, *, mandatory: bool = False) -> None:
        """Publish and wait for the confirm. The exchange "" takes a message to the queue that its routing key names.

        Raises: `BusUnavailable` after a timeout or without a connection, `PublishRefused` on a nack,
        `Unroutable` if `mandatory` and no queue took it.
        """

    async def publish_all(self, exchange: str, messages: Sequence[Message]) -> tuple[int, BusError | None]:
        """Publish one after the other, without waiting for a confirm in between, and then wait for all confirms.

        Returns how many were confirmed before the first that was not, and why that one was not. Any from there on
        may or may not have been published: publish them again, in the same order. A queue that has refused one may
        have taken later ones; apart from that, what is published here arrives in its order.
        """

    async def consume(
        self, queue: Queue, handler: Handler, *, prefetch: int, on_rebuilt: Callable[[], None] | None = None
    ) -> Consumer:
        """Declare the queue with its bindings and hand its messages to `handler`, for as long as the bus is open.

        A lost connection, a deleted queue or a consumer cancelled by the server is mended underneath; `on_rebuilt`
        is called after that, as a queue that does not outlive its connection may have missed messages.
        An exclusive queue ends with its consumer.
        Raises: `TopologyMismatch`, `BusUnavailable` (on the first try only; later ones are retried with back-off).
        """

    def read_log(self, *, since: datetime | None = None) -> AsyncIterator[Message]:
        """Past lifecycle events, oldest first, from about `since` (None: all there are) up to the present; then ends.

        How far back it reaches is the broker's matter (a stream's retention, the memory of the process).
        """

    def tail_log(self, *, since: datetime | None = None) -> AsyncGenerator[Message | LogGap, None]:
        """Lifecycle events as `read_log` has them, and then every one as it is published, from the same log: no end.

        A lost connection is mended underneath, and reading goes on behind the last entry. Where the log does not
        reach, or does no longer, there is a `LogGap`. Close it (`contextlib.aclosing`) before the bus.
        Raises: `BusUnavailable` (on the first try only; later ones are retried with back-off).
        """

    async def declare(self, queue: Queue) -> None:
        """See to it that there is such a queue, bound as it says. Raises: `TopologyMismatch`, `BusUnavailable`."""

    async def inspect(self, queue: str) -> QueueState | None:
        """The queue of that name, as it is now; None if there is none. Raises: `BusUnavailable`."""

    @property
    def user(self) -> str | None:
        """Who the broker says published what we publish; None where it does not vouch."""

    @property
    def vouches(self) -> bool:
        """Whether there is a broker that says who published a message, where the publisher lets it."""

    @property
    def connected(self) -> bool:
        """Whether the broker can be reached right now, as far as is known."""
