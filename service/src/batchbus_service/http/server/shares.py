"""What one user, one address and all of them together may hold of this process at a time.

A descriptor is held by each connection and each file that is written. The system gives a process so many, and once they
are used up no connection is accepted, not even for health. So connections may have half of them, and no address too many of these; those
beyond are answered for health alone, and the next ones not at all. Of streams and uploads each user has a share.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from batchbus_service.domain.errors import TryLater

__all__ = ["Crowd", "Share", "Shares"]

_RETRY_SECONDS: Final = 5
_FOR_HEALTH: Final = 32
"""Connections beyond the limit that are answered for health alone."""
_LEAST: Final = 64
_OF_AN_ADDRESS: Final = 256


class Share:
    """How much each user may have of something at a time."""

    def __init__(self, what: str, most: int) -> None:
        """`what`: the plural of what is shared, for people."""
        self._what = what
        self.most = most
        self._held: Counter[str] = Counter()

    def held_by(self, user_id: str) -> int:
        """How many the user has."""
        return self._held[user_id]

    def take(self, user_id: str) -> Callable[[], None]:
        """Returns what gives it back, once. Raises `TryLater` if the user has as many as there may be."""
        if self._held[user_id] >= self.most:
            message = (
                f"You have {self.most} {self._what} at the moment, which is the most: end one, or wait for one to end"
            )
            raise TryLater(message, _RETRY_SECONDS)
        self._held[user_id] += 1
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._held[user_id] -= 1
                if not self._held[user_id]:
                    del self._held[user_id]

        return give_back

    @contextmanager
    def held(self, user_id: str) -> Iterator[None]:
        """For as long as the context is open. Raises `TryLater`."""
        give_back = self.take(user_id)
        try:
            yield
        finally:
            give_back()


@dataclass(frozen=True, slots=True)
class Shares:
    """One per process. No settings: only tests have others."""

    streams: Share = field(default_factory=lambda: Share("event streams", 50))
    uploads: Share = field(default_factory=lambda: Share("uploads", 8))


class Crowd:
    """The connections of one server."""

    def __init__(
        self, trusted: Collection[str] = (), *, most: int | None = None, of_an_address: int = _OF_AN_ADDRESS
    ) -> None:
        """`trusted`: addresses and networks of proxies, each of which stands for many clients."""
        self._trusted: list[IPv4Network | IPv6Network] = [ip_network(each) for each in trusted]
        self._most = most or max(_LEAST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._of_an_address = of_an_address
        self._count = 0
        self._by_address: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection. Returns whether there is room for it; if not, it may ask for health alone."""
        self._count += 1
        self._by_address[address] += 1
        return self._count <= self._most and (
            self._by_address[address] <= self._of_an_address or self._is_trusted(address)
        )

    @property
    def full(self) -> bool:
        """Whether there are more than can be answered at all."""
        return self._count > self._most + _FOR_HEALTH

    def leave(self, address: str) -> None:
        """A connection that was counted has ended."""
        self._count -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def _is_trusted(self, address: str) -> bool:
        try:
            ip = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(ip in network for network in self._trusted if network.version == ip.version)
