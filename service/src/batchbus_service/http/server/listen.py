"""Taking the address that HTTP is served on."""

from __future__ import annotations

import socket

from batchbus_service.domain.errors import CannotListen

__all__ = ["listen", "reachable"]


def listen(host: str, port: int, *, setting: str = "BATCHBUS_HTTP_PORT") -> socket.socket:
    """Take the address before anything else is started. Port 0 is any free one. Raises `CannotListen`.

    `setting`: the variable that the port comes from.
    """
    try:
        family, kind, protocol, *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol: asyncio turns Nagle's algorithm off only where a socket says that it is TCP's.
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {host}:{port}: {error.strerror}. Set {setting} to another port (0 for any free "
            "one), or end the process that has it."
        ) from None
    return sock


def reachable(host: str) -> str:
    """An address that a client can use for a host that is listened on, as it stands in a URL."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
