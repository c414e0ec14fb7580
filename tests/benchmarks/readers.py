"""Readers of event streams, as many as wanted, in a process of their own, at next to no cost.

`python -m tests.benchmarks.readers HOST PORT PATH TOKEN COUNT` says `ready` once all of them have read the first event, and at the end prints how many of them got `batch.completed`, and how many events they all got.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
from dataclasses import dataclass


@dataclass(eq=False)
class _Reader:
    connection: socket.socket
    events: int = 0
    end: bool = False
    rest: bytes = b""

    def take(self, data: bytes) -> None:
        """Count what has arrived; names of events may be split over two reads."""
        data = self.rest + data
        whole = data.rfind(b"\n") + 1
        self.rest = data[whole:]
        self.events += data.count(b"event: ", 0, whole)
        self.end = self.end or data.find(b"event: batch.completed\n", 0, whole) >= 0


def main(host: str, port: str, path: str, token: str, count: str) -> None:
    selector = selectors.DefaultSelector()
    request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nx-medusa-access-token: {token}\r\n\r\n".encode()
    readers = [_Reader(socket.create_connection((host, int(port)))) for _ in range(int(count))]
    for reader in readers:
        reader.connection.sendall(request)
        selector.register(reader.connection, selectors.EVENT_READ, reader)
    waiting, open_ = set(readers), set(readers)
    while open_:
        for key, _ in selector.select():
            reader = key.data
            if data := reader.connection.recv(1 << 18):
                reader.take(data)
            if not data or reader.end:
                open_.discard(reader)
                selector.unregister(reader.connection)
            if reader.events and reader in waiting:
                waiting.discard(reader)
                if not waiting:
                    print("ready", flush=True)
    print(json.dumps({"ended": sum(r.end for r in readers), "events": sum(r.events for r in readers)}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
