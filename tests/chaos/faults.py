"""What is broken: each fault is begun, lasts a while, and is over. Data in one table, so that all are tried alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import psutil

from batchbus_events import topics
from tests.chaos.fleet import Fleet
from tests.chaos.watching import Watcher
from tests.engine.installation import Installation
from tests.events.proxy import Proxy
from tests.rabbitmq_cluster import RabbitCluster
from tests.rabbitmq_node import RabbitNode

__all__ = ["FAULTS", "Fault", "Parts"]


@dataclass
class Parts:
    """What there is to break."""

    installation: Installation
    node: RabbitNode
    """The broker; of a cluster, one of its nodes."""
    cluster: RabbitCluster | None
    database: psutil.Process
    fleet: Fleet
    proxy: Proxy
    """The way of the workers and of the server to the broker."""
    lease: float
    random: Random
    watch: Watcher
    fault: Fault

    async def look(self) -> None:
        """While it is broken: what is wrong has to be named, and nothing else."""
        await self.watch.broken(self.fault.names, within=self.fault.within)


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which things break."""

    name: str
    happen: Callable[[Parts], Awaitable[None]]
    """From its beginning to its end."""
    names: tuple[str, ...] = ()
    """The checks of readiness that have to name it while it lasts."""
    within: float = 10.0
    """After how many seconds."""
    may_name: tuple[str, ...] = ()
    """Further checks that it concerns, and that may name it, or not."""
    dying_jobs: int = 0
    """Jobs in the load that end their process."""
    recorder_may_miss: bool = False
    """Events may be published while nothing of the recorder is bound to their exchange."""
    needs_cluster: bool = False


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
    await parts.look()
    await asyncio.sleep(parts.random.uniform(1, parts.lease + 3))  # for less than a lease, or for more
    parts.database.resume()


async def _broker_killed(parts: Parts) -> None:
    await asyncio.to_thread(parts.node.kill)
    await parts.look()
    await asyncio.sleep(parts.random.uniform(0, 5))  # how long the broker is away
    await asyncio.to_thread(parts.node.start)


async def _broker_restarted(parts: Parts) -> None:
    await asyncio.to_thread(parts.node.restart)


async def _broker_frozen(parts: Parts) -> None:
    parts.node.pause()
    await parts.look()
    await asyncio.sleep(parts.random.uniform(0, 5))  # how long it stays frozen
    parts.node.resume()


async def _broker_out_of_memory(parts: Parts) -> None:
    """Publishers are blocked; what is there is still delivered."""
    await asyncio.to_thread(parts.node.low_memory, True)
    await asyncio.sleep(parts.random.uniform(2, 15))  # how long publishers are blocked
    await asyncio.to_thread(parts.node.low_memory, False)


async def _connections_cut(parts: Parts) -> None:
    for _ in range(parts.random.randint(1, 4)):
        parts.proxy.cut()
        await asyncio.sleep(parts.random.uniform(0, 2))  # until the next cut


async def _connections_silent(parts: Parts) -> None:
    parts.proxy.silence()
    await parts.look()
    await asyncio.sleep(parts.random.uniform(0, 15))  # how long nothing is heard any more
    parts.proxy.speak()


async def _exchanges_deleted(parts: Parts) -> None:
    virtual_host = parts.installation.amqp_url.rpartition("/")[2]
    for exchange in (topics.EVENTS, topics.TRIGGERS):
        delete = (
            f'rabbit_exchange:delete(rabbit_misc:r(<<"{virtual_host}">>, exchange, <<"{exchange}">>), false, <<"x">>).'
        )
        await asyncio.to_thread(parts.node.eval, delete)


# -- of a cluster of three nodes ---------------------------------------------------------------------------------------


async def _node_killed(parts: Parts) -> None:
    await _without(parts, parts.random.choice(_cluster_of(parts).nodes))


async def _leader_killed(parts: Parts) -> None:
    virtual_host = parts.installation.amqp_url.rpartition("/")[2]
    queue = topics.TRIGGERS_QUEUE.name
    await _without(parts, await asyncio.to_thread(_cluster_of(parts).leader, virtual_host, queue))


async def _without(parts: Parts, node: RabbitNode) -> None:
    """Two of three are enough: those who were connected to the other one connect anew."""
    await asyncio.to_thread(node.kill)
    await parts.watch.well(within=_TWO_ARE_ENOUGH)
    await asyncio.to_thread(node.start)


async def _node_cut_off(parts: Parts) -> None:
    cluster = _cluster_of(parts)
    node = parts.random.choice(cluster.nodes)
    await asyncio.to_thread(cluster.cut_off, node)
    await asyncio.sleep(parts.random.uniform(1, 10))  # how long it is cut off
    await asyncio.to_thread(cluster.heal, node)


async def _all_nodes_killed(parts: Parts) -> None:
    cluster = _cluster_of(parts)
    await asyncio.to_thread(cluster.kill)
    await parts.look()
    await asyncio.to_thread(cluster.start)


def _cluster_of(parts: Parts) -> RabbitCluster:
    assert parts.cluster is not None
    return parts.cluster


_TWO_ARE_ENOUGH: Final = 60.0
"""Seconds after which nothing is named though a node is down. Queues elect leaders, and connections are made anew."""
_BROKER: Final = ("broker",)
_OUTBOX: Final = ("outbox",)
_FROZEN_BROKER: Final = 25.0
"""Seconds until a broker that answers nothing is named; see docs/reliability.md."""

FAULTS: Final = (
    Fault("none", _nothing),
    Fault("a worker is killed", _worker_killed),
    Fault("a worker is stopped", _worker_stopped),
    Fault("a worker is frozen past its leases", _worker_frozen),
    Fault("all workers are killed", _all_workers_killed),
    Fault("jobs end their workers", _nothing, dying_jobs=2),
    Fault("the database is killed", _database_killed, may_name=("database",)),
    Fault("the database is frozen", _database_frozen, names=("database",)),
    Fault("the broker is killed", _broker_killed, names=_BROKER, may_name=_OUTBOX),
    Fault("the broker is restarted", _broker_restarted, may_name=(*_BROKER, *_OUTBOX)),
    Fault("the broker is frozen", _broker_frozen, names=_BROKER, within=_FROZEN_BROKER, may_name=_OUTBOX),
    Fault("the broker is out of memory", _broker_out_of_memory, may_name=(*_BROKER, *_OUTBOX)),
    Fault("connections to the broker are cut", _connections_cut, may_name=(*_BROKER, *_OUTBOX)),
    Fault(
        "connections to the broker fall silent",
        _connections_silent,
        names=_BROKER,
        within=_FROZEN_BROKER,
        may_name=_OUTBOX,
    ),
    Fault("exchanges are deleted", _exchanges_deleted, may_name=(*_BROKER, *_OUTBOX), recorder_may_miss=True),
    Fault("a node of three is killed", _node_killed, may_name=(*_BROKER, *_OUTBOX), needs_cluster=True),
    Fault("the leader of three is killed", _leader_killed, may_name=(*_BROKER, *_OUTBOX), needs_cluster=True),
    Fault("a node of three is cut off", _node_cut_off, may_name=(*_BROKER, *_OUTBOX), needs_cluster=True),
    Fault("all three nodes are killed", _all_nodes_killed, names=_BROKER, may_name=_OUTBOX, needs_cluster=True),
)
