"""The servers on which rounds are played, one after the other: the database, a broker of one node, a cluster of three."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from batchbus_service.storage.mongo.embedded import EmbeddedMongo
from tests.chaos.faults import Fault
from tests.engine.installation import Installation
from tests.events.proxy import Proxy
from tests.rabbitmq_cluster import RabbitCluster
from tests.rabbitmq_node import RabbitNode, find_rabbitmq

__all__ = ["Servers"]


class Servers:
    """Use it as `async with Servers.started() as servers`. A broker is started for the first fault that needs it."""

    def __init__(self, stack: AsyncExitStack, mongo_url: str, folder: Path) -> None:
        self._stack = stack
        self._mongo_url = mongo_url
        self._folder = folder
        self._node: RabbitNode | None = None
        self._cluster: RabbitCluster | None = None

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncIterator[Servers]:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            yield cls(stack, await stack.enter_async_context(EmbeddedMongo.start(folder / "database")), folder)

    @asynccontextmanager
    async def installation(self, fault: Fault) -> AsyncIterator[tuple[Installation, RabbitNode | RabbitCluster]]:
        """A new one, and the broker that it is on. Nodes of a cluster are reached as by way of a load balancer."""
        broker = self.cluster() if fault.needs_cluster else self.node()
        place = self._folder / f"{time.time():.3f}"
        place.mkdir()
        async with AsyncExitStack() as stack:
            if isinstance(broker, RabbitCluster):
                amqp_url = (await stack.enter_async_context(Proxy.to(*broker.fresh_vhost()))).url
            else:
                amqp_url = broker.fresh_vhost()
            opening = Installation.open(
                amqp_url, self._mongo_url, place, may_miss=fault.recorder_may_miss, replicated=fault.needs_cluster
            )
            yield await stack.enter_async_context(opening), broker

    def node(self) -> RabbitNode:
        if self._node is None:
            self._node = self._stack.enter_context(find_rabbitmq())
        return self._node

    def cluster(self) -> RabbitCluster:
        if self._cluster is None:
            self._cluster = self._stack.enter_context(RabbitCluster.started())
        return self._cluster
