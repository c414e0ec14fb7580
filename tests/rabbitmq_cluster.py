"""Three throwaway RabbitMQ nodes on this machine that form a cluster, to be killed and cut off from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final
from uuid import uuid4

from yarl import URL

from tests.rabbitmq_node import RabbitNode

__all__ = ["RabbitCluster"]

_SIZE: Final = 3
_CONFIG: Final = """
cluster_partition_handling = pause_minority
cluster_formation.peer_discovery_backend = classic_config
"""
_LEADER: Final = """
    {{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{vhost}">>, queue, <<"{queue}">>)),
    {{_, Node}} = amqqueue:get_pid(Q),
    atom_to_list(Node).
"""


class RabbitCluster:
    """Use it as `with RabbitCluster.started() as cluster`."""

    def __init__(self, nodes: list[RabbitNode], cookie: str) -> None:
        self.nodes = nodes
        self._cookie = cookie

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[RabbitCluster]:
        cookie = uuid4().hex
        first = RabbitNode(cookie=cookie)
        nodes = [first, *(RabbitNode(epmd_port=first.epmd_port, cookie=cookie) for _ in range(_SIZE - 1))]
        names = (f"cluster_formation.classic_config.nodes.{n} = {node.name}" for n, node in enumerate(nodes, 1))
        config = _CONFIG + "\n".join(names) + "\n"
        with ExitStack() as stack:
            for node in nodes:
                node.more_config = config
                stack.callback(node.close)
            first.start()  # and the name server of all with it
            cluster = cls(nodes, cookie)
            cluster.start()
            yield cluster

    def fresh_vhost(self) -> list[str]:
        """The addresses, one for each node, of a new, empty virtual host."""
        path = URL(self.nodes[0].fresh_vhost()).path
        return [str(URL(node.url).with_path(path)) for node in self.nodes]

    def start(self) -> None:
        """Start those that do not run, at the same time: after a crash of all, each waits for the others."""
        self._on_all(RabbitNode.start)

    def kill(self) -> None:
        self._on_all(RabbitNode.kill)

    def leader(self, vhost: str, queue: str) -> RabbitNode:
        """The node that leads a quorum queue."""
        name = self.nodes[0].eval(_LEADER.format(vhost=vhost, queue=queue)).strip('"')
        return next(node for node in self.nodes if node.name == name)

    def cut_off(self, node: RabbitNode) -> None:
        """The others and the node do not reach each other any more, until `heal`. Clients reach all of them."""
        # All at once: of nodes that reach some of the others, and not all, RabbitMQ stops more than the minority.
        others = self._others(node)
        refuse = [f"erlang:set_cookie('{name}', cut_off)" for name in others]
        leave = [f"erlang:disconnect_node('{name}')" for name in others]
        node.eval(f"{', '.join(refuse + leave)}.")

    def heal(self, node: RabbitNode) -> None:
        """Returns when the node, which has stopped to serve as the minority, serves again."""
        others = self._others(node)
        accept = [f"erlang:set_cookie('{name}', '{self._cookie}')" for name in others]
        meet = [f"net_adm:ping('{name}')" for name in others]
        node.eval(f"{', '.join(accept + meet)}.")
        node.ctl("await_startup", "--timeout", "120")

    def _others(self, node: RabbitNode) -> list[str]:
        return [other.name for other in self.nodes if other is not node]

    def _on_all(self, do: Callable[[RabbitNode], None]) -> None:
        with ThreadPoolExecutor(_SIZE) as threads:
            list(threads.map(do, self.nodes))
