"""Where a client command finds the service, and with which token: the environment, else the file that `up` leaves."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchbus_service.cli.output import Refusal

__all__ = ["Credentials", "client_file", "find_credentials", "read_client_file", "write_client_file"]

_NAME: Final = "client.env"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The address of a service, and a token for it."""

    url: str
    token: str
    origin: str
    """Where the token was found, for error messages."""


def client_file(data_dir: Path) -> Path:
    return data_dir / _NAME


def find_credentials() -> Credentials:
    """Raises `Refusal` if there is nothing to find."""
    path = client_file(Path(os.environ.get("BATCHBUS_DATA_DIR") or ".batchbus"))
    written = read_client_file(path)
    url, token = os.environ.get("BATCHBUS_URL"), os.environ.get("BATCHBUS_TOKEN")
    if url and token:
        return Credentials(url.rstrip("/"), token, "BATCHBUS_TOKEN")
    if written and url in (None, "", written.url):
        return Credentials(written.url, token, "BATCHBUS_TOKEN") if token else written
    if url:
        raise Refusal(f"There is no token for {url}.", "Set BATCHBUS_TOKEN to an API token of that service.")
    raise Refusal(
        f"No service to talk to: BATCHBUS_URL is not set, and there is no file {path}.",
        "Start a service here with `batchbus up`, or set BATCHBUS_URL and BATCHBUS_TOKEN to use one that runs elsewhere.",
    )


def read_client_file(path: Path) -> Credentials | None:
    """None if there is no such file, or not what belongs into it."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    url, token = values.get("BATCHBUS_URL"), values.get("BATCHBUS_TOKEN")
    return Credentials(url, token, str(path)) if url and token else None


def write_client_file(path: Path, url: str, token: str) -> None:
    """For its owner's eyes alone, from the first byte on."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"# Written by `batchbus up`: how the batchbus command reaches it.\nBATCHBUS_URL={url}\n")
        file.write(f"BATCHBUS_TOKEN={token}\n")
    unfinished.replace(path)
