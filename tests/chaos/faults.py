"""What is broken: each fault is begun, lasts a while, and is over. Data in one table, so that all are tried alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

import psutil

from batchbus_events import topics
from tests.chaos.fleet import Fleet
from tests.engine.installation import Installation
from tests.events.proxy import Proxy
from tests.rabbitmq_node import RabbitNode

__all__ = ["FAULTS", "Fault", "Parts"]


@dataclass
class Parts:
    """What there is to break."""

    installation: Installation
    node: RabbitNode
    """The broker."""
    database: psutil.Process
    fleet: Fleet
    proxy: Proxy
    """The way of the workers to the broker."""
    lease: float
    random: Random


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which things break."""

    name: str
    happen: Callable[[Parts], Awaitable[None]]
    """From its beginning to its end."""
    dying_jobs: int = 0
    """Jobs in the load that end their process."""
    recorder_may_miss: bool = field(default=False)
    """Events may be published while nothing of the recorder is bound to their exchange."""


async def _nothing(_: Parts) -> None:
    """The load alone."""


async def _worker_killed(parts: Parts) -> None:
    await parts.fleet.any(parts.random).kill()


async def _worker_stopped(parts: Parts) -> None:
    await parts.fleet.any(parts.random).stop()


async def _worker_frozen(parts: Parts) -> None:
    worker = parts.fleet.any(parts.random)
    worker.freeze()
    await asyncio.sleep(parts.lease + parts.random.uniform(1, 4))  # longer than the lease
    worker.thaw()


async def _all_workers_killed(parts: Parts) -> None:
    await asyncio.gather(*(worker.kill() for worker in parts.fleet.workers))


async def _database_killed(parts: Parts) -> None:
    parts.database.kill()  # whoever started it starts it again


async def _database_frozen(parts: Parts) -> None:
    parts.database.suspend()
    await asyncio.sleep(parts.random.uniform(1, parts.lease + 3))  # for less than a lease, or for more
    parts.database.resume()


async def _broker_killed(parts: Parts) -> None:
    await asyncio.to_thread(parts.node.kill)
    await asyncio.sleep(parts.random.uniform(0, 5))  # how long the broker is away
    await asyncio.to_thread(parts.node.start)


async def _broker_restarted(parts: Parts) -> None:
    await asyncio.to_thread(parts.node.restart)


async def _broker_frozen(parts: Parts) -> None:
    parts.node.pause()
    await asyncio.sleep(parts.random.uniform(1, 25))  # how long it is frozen
    parts.node.resume()


async def _broker_out_of_memory(parts: Parts) -> None:
    """Publishers are blocked; what is there is still delivered."""
    await asyncio.to_thread(parts.node.ctl, "set_vm_memory_high_watermark", "0.00001")
    await asyncio.sleep(parts.random.uniform(2, 15))  # how long publishers are blocked
    await asyncio.to_thread(parts.node.ctl, "set_vm_memory_high_watermark", "0.4")


async def _connections_cut(parts: Parts) -> None:
    for _ in range(parts.random.randint(1, 4)):
        parts.proxy.cut()
        await asyncio.sleep(parts.random.uniform(0, 2))  # until the next cut


async def _connections_silent(parts: Parts) -> None:
    parts.proxy.silence()
    await asyncio.sleep(parts.random.uniform(5, 45))  # how long nothing is heard
    parts.proxy.speak()


async def _exchanges_deleted(parts: Parts) -> None:
    virtual_host = parts.installation.amqp_url.rpartition("/")[2]
    for exchange in (topics.EVENTS, topics.TRIGGERS):
        delete = (
            f'rabbit_exchange:delete(rabbit_misc:r(<<"{virtual_host}">>, exchange, <<"{exchange}">>), false, <<"x">>).'
        )
        await asyncio.to_thread(parts.node.eval, delete)


FAULTS: Final = (
    Fault("none", _nothing),
    Fault("a worker is killed", _worker_killed),
    Fault("a worker is stopped", _worker_stopped),
    Fault("a worker is frozen past its leases", _worker_frozen),
    Fault("all workers are killed", _all_workers_killed),
    Fault("jobs end their workers", _nothing, dying_jobs=2),
    Fault("the database is killed", _database_killed),
    Fault("the database is frozen", _database_frozen),
    Fault("the broker is killed", _broker_killed),
    Fault("the broker is restarted", _broker_restarted),
    Fault("the broker is frozen", _broker_frozen),
    Fault("the broker is out of memory", _broker_out_of_memory),
    Fault("connections to the broker are cut", _connections_cut),
    Fault("connections to the broker fall silent", _connections_silent),
    Fault("exchanges are deleted", _exchanges_deleted, recorder_may_miss=True),
)
