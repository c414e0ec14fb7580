"""A process that computes: it carries out one call after the other, each a function of a strategy.

Started as `python -m batchbus_service.execution.computing.child SOCKET CRASH_FILE PARENT`, as the child of a run is. It
has no event loop and no threads, and is ended while it computes when nobody wants the result any more.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path
from typing import IO

from batchbus_service.execution.parent import end_with, tell_crashes
from batchbus_service.storage.mongo.codec import decoded, encoded
from batchbus_strategies.computing import called
from batchbus_strategies.folder import import_from
from batchbus_strategies.strategy import Document


def main() -> None:
    connection, crashes, parent = (int(argument) for argument in sys.argv[1:4])
    end_with(parent)
    tell_crashes(crashes)
    with socket.socket(fileno=connection) as ours, ours.makefile("rb") as in_, ours.makefile("wb") as out:
        _serve(in_, out)
    os._exit(0)  # threads that a function has left behind keep nothing of this process


def _serve(in_: IO[bytes], out: IO[bytes]) -> None:
    first = _read(in_)
    if first is None:
        return
    sys.path[:] = first["path"]
    if first["folder"] is not None:
        import_from(Path(first["folder"]))
    limit = first["memory_mib"] * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    _write(out, {"kind": "ready"})
    while (message := _read(in_)) is not None:
        match message["kind"]:
            case "ping":
                _write(out, {"kind": "ready"})
            case "compute":
                _write(out, {"kind": "answer", "value": called(message["call"])})
            case _:
                return


def _read(stream: IO[bytes]) -> Document | None:
    """The next message; None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(int.from_bytes(head, "little") - 4)
    return decoded(head + body)


def _write(stream: IO[bytes], message: Document) -> None:
    stream.write(encoded(message))
    stream.flush()


if __name__ == "__main__":
    main()
