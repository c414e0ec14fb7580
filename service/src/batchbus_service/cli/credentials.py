"""Where a client command finds the service, and with which token: the environment, else the file that `up` leaves."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchbus_service.cli.refusals import Refusal, Unreachable

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
    url, token = os.environ.get("BATCHBUS_URL"), os.environ.get("BATCHBUS_TOKEN") or _token_in_a_file()
    if url and token:
        return Credentials(url.rstrip("/"), token, "BATCHBUS_TOKEN")
    _refuse_foreign(path)
    written = read_client_file(path)
    if token:
        raise Refusal(
            "BATCHBUS_TOKEN is set, and BATCHBUS_URL is not: a token goes to the address that it came with alone.",
            f"Set BATCHBUS_URL to the address of the service that gave it out, or unset BATCHBUS_TOKEN to use {path}.",
        )
    if written and url in (None, "", written.url):
        return written
    if url:
        raise Refusal(f"There is no token for {url}.", "Set BATCHBUS_TOKEN to an API token of that service.")
    raise Unreachable(
        f"No service to talk to: BATCHBUS_URL is not set, and there is no file {path}.",
        "Start a service here with `batchbus up`, or set BATCHBUS_URL and BATCHBUS_TOKEN to use one that runs elsewhere.",
    )


def _token_in_a_file() -> str | None:
    """The token in the file that `BATCHBUS_TOKEN_FILE` names. Raises `Refusal`."""
    path = os.environ.get("BATCHBUS_TOKEN_FILE")
    if not path:
        return None
    from batchbus_service.domain.errors import BadSettings  # here, so that other commands start faster
    from batchbus_service.domain.secret_values import secret_from_file

    try:
        return secret_from_file("BATCHBUS_TOKEN_FILE", Path(path))
    except BadSettings as error:
        raise Refusal(str(error)) from None


def _refuse_foreign(path: Path) -> None:
    """Raise `Refusal` for a file that `up` has not written: somebody else's, or one that others may read or change.

    The folder that one stands in may be anybody's, with a file in it that sends commands to an address of theirs.
    """
    try:
        found = path.stat()
    except OSError:
        return
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise Refusal(
            f"{path} is not used: it has to be yours, and closed to others (uid {found.st_uid}, mode "
            f"{stat.S_IMODE(found.st_mode):04o}).",
            f"If `batchbus up` wrote it here, `chmod 600 {path}`; if not, somebody else did.",
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
