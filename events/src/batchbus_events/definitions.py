"""What a RabbitMQ needs for batchbus, as a file of definitions: the virtual host, the topology, and users with few rights.

`python -m batchbus_events.definitions FILE` writes it, with a user of each kind; `--check` only says whether the file is out
of date, and exits 1 if it is. `--publisher`, `--subscriber`, `--client` and `--operator` name the users of an installation.
The users have no passwords, so that they can sign in with certificates alone, unless `--passwords` names a folder: it has a
file for each user, called like the user, as Docker and Kubernetes hand out secrets.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchbus_events import topics
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import Json
from batchbus_events.topics import Binding, Exchange, Queue

__all__ = ["Account", "client", "definitions", "main", "operator", "publisher", "service", "subscriber"]

_NOTHING: Final = "^$"
_EVERYTHING: Final = ".*"
_LEADERS: Final = "batchbus-leaders"
_LIMITS: Final = {"max-connections": 100, "max-channels": 1000}
"""Of each user but the service: what one of them opens must not keep the others out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A user of the broker, with patterns of what it may configure, write to and read from."""

    name: str
    configure: str = _NOTHING
    write: str = _NOTHING
    read: str = _NOTHING
    may_publish: bool = False
    """Whether it may write triggers, with the routing keys of triggers, to their exchange."""
    is_service: bool = False
    tags: str = ""


def service(name: str = "batchbus") -> Account:
    """batchbus itself. It declares the topology, and sends to queues by their names: replays, and what it holds or puts back."""
    ours = r"^(batch|batchbus)\..*$"
    return Account(name=name, configure=ours, write=rf"{ours}|^amq\.default$", read=ours, is_service=True)


def publisher(name: str) -> Account:
    """A service that publishes triggers as itself, and does nothing else."""
    return Account(name=name, write=_exactly(topics.TRIGGERS), may_publish=True)


def subscriber(name: str) -> Account:
    """A service that binds queues of its own to events and reads them and the log, and does nothing else."""
    own = _own(name)
    return Account(
        name=name,
        configure=own,
        write=f"{own}|{_exactly(topics.MARKERS)}",
        read=f"{own}|{_exactly(topics.EVENTS, topics.LOG_QUEUE.name)}",
    )


def client(name: str) -> Account:
    """A service that does both: it creates jobs and follows them."""
    follows = subscriber(name)
    write = f"{follows.write}|{_exactly(topics.TRIGGERS)}"
    return Account(name=name, configure=follows.configure, write=write, read=follows.read, may_publish=True)


def operator(name: str) -> Account:
    """Someone who looks after the broker. To change the jobs of others, `BATCHBUS_BUS_OPERATORS` has to name it as well."""
    both = client(name)
    return Account(
        name=name,
        configure=both.configure,
        write=both.write,
        read=both.read,
        may_publish=True,
        tags="monitoring",
    )


def definitions(
    accounts: Sequence[Account], *, vhost: str = "batchbus", passwords: Mapping[str, str] | None = None
) -> dict[str, Json]:
    """The document that `rabbitmqctl import_definitions` and the setting `load_definitions` take.

    `passwords` are by the names of users; those without one can sign in with a certificate alone.
    """
    given = passwords or {}
    return {
        "vhosts": [{"name": vhost}],
        "users": [_user(account, given.get(account.name)) for account in accounts],
        "permissions": [_permission(account, vhost) for account in accounts],
        "topic_permissions": [
            {"user": account.name, "vhost": vhost, "exchange": exchange, "write": write, "read": read}
            for account in accounts
            for exchange, write, read in _topics(account)
        ],
        "policies": [_policy(vhost)],
        "exchanges": [_exchange(exchange, vhost) for exchange in topics.EXCHANGES],
        "queues": [_queue(queue, vhost) for queue in topics.shared_queues()],
        "bindings": [_binding(binding, queue, vhost) for queue in topics.shared_queues() for binding in queue.bindings],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m batchbus_events.definitions", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    parser.add_argument("--vhost", default="batchbus", help="the virtual host (batchbus)")
    parser.add_argument("--service", default="batchbus", metavar="NAME", help="the user of batchbus itself (batchbus)")
    for kind, does in (
        ("publisher", "creates jobs"),
        ("subscriber", "follows events"),
        ("client", "does both"),
        ("operator", "looks after the broker"),
    ):
        parser.add_argument(f"--{kind}", action="append", default=[], metavar="NAME", help=f"a user that {does}")
    parser.add_argument("--passwords", type=Path, metavar="DIR", help="a folder with a file for each user's password")
    parser.add_argument("file", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    accounts = [service(options.service), *_named(options)]
    try:
        passwords = _passwords(options.passwords, accounts) if options.passwords else None
    except OSError as error:
        sys.stderr.write(f"a password cannot be read: {error}\n")
        return 1
    document = definitions(accounts, vhost=options.vhost, passwords=passwords)
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    file: Path = options.file
    if options.check:
        stale = not file.exists() or file.read_text() != text
        if stale:
            sys.stderr.write(f"{file} is out of date: run python -m batchbus_events.definitions {file}\n")
        return 1 if stale else 0
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return 0


def _named(options: argparse.Namespace) -> list[Account]:
    kinds = {"publisher": publisher, "subscriber": subscriber, "client": client, "operator": operator}
    named = [make(name) for kind, make in kinds.items() for name in getattr(options, kind)]
    return named or [make(kind) for kind, make in kinds.items()]


def _passwords(folder: Path, accounts: Iterable[Account]) -> dict[str, str]:
    """Raises `OSError` for a user without a file."""
    return {account.name: (folder / account.name).read_text().strip() for account in accounts}


def _user(account: Account, password: str | None) -> dict[str, Json]:
    user: dict[str, Json] = {
        "name": account.name,
        "password_hash": "" if password is None else _hash(password),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": account.tags,
    }
    if not account.is_service:
        user["limits"] = dict(_LIMITS)
    return user


def _permission(account: Account, vhost: str) -> dict[str, Json]:
    rights: dict[str, Json] = {"configure": account.configure, "write": account.write, "read": account.read}
    return {"user": account.name, "vhost": vhost, **rights}


def _policy(vhost: str) -> dict[str, Json]:
    """In a cluster, the queues do not all have their leaders on the node where batchbus was first connected."""
    return {
        "vhost": vhost,
        "name": _LEADERS,
        "pattern": _exactly(*(queue.name for queue in topics.shared_queues())),
        "apply-to": "queues",
        "definition": {"queue-leader-locator": "balanced"},
        "priority": 0,
    }


def _exchange(exchange: Exchange, vhost: str) -> dict[str, Json]:
    kind: dict[str, Json] = {"type": exchange.kind, "durable": True, "auto_delete": False, "internal": False}
    return {"name": exchange.name, "vhost": vhost, **kind, "arguments": {}}


def _queue(queue: Queue, vhost: str) -> dict[str, Json]:
    arguments: dict[str, Json] = dict(queue.arguments)
    return {"name": queue.name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}


def _binding(binding: Binding, queue: Queue, vhost: str) -> dict[str, Json]:
    return {
        "source": binding.exchange,
        "vhost": vhost,
        "destination": queue.name,
        "destination_type": "queue",
        "routing_key": binding.pattern,
        "arguments": {},
    }


def _hash(password: str) -> str:
    """As RabbitMQ keeps it: four bytes of salt, and SHA-256 of these and the password."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _topics(account: Account) -> list[tuple[str, str, str]]:
    """Of each topic exchange, the routing keys that the user may publish with, and those that it may bind queues by."""
    if account.is_service:
        return []
    triggers = "|".join(name.removeprefix("batch.") for name in TRIGGERS)
    publishes = rf"^batch\.({triggers})(\..*)?$" if account.may_publish else _NOTHING
    return [(topics.TRIGGERS, publishes, _NOTHING), (topics.EVENTS, _NOTHING, _EVERYTHING)]


def _own(name: str) -> str:
    """What is called like the user, or begins with its name and a dot."""
    return rf"^{re.escape(name)}(\..*)?$"


def _exactly(*names: str) -> str:
    return f"^({'|'.join(map(re.escape, names))})$"


if __name__ == "__main__":
    sys.exit(main())
