"""`list_config`, by which clients of Medusa say which part of a collection they want, in which order; and file keys.

The names are Medusa's. `take`, `select` and `relations` are kept for its clients and have no effect: an export has every
column unless its own context says which, and as many records as `batch_size` allows.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.strategy import Document, JobRefused, JobRun

__all__ = ["FLAT", "NEWEST_FIRST", "ListConfig", "complete_list_config", "export_key"]

_TAKE: Final = 50
NEWEST_FIRST: Final = {"created_at": "DESC"}
FLAT: Final = ("limit", "offset", "order", "fields", "expand")
"""Keys of a context that become its `list_config`."""


class ListConfig(BaseModel):
    """Which part of the records, in which order."""

    model_config = ConfigDict(extra="allow")

    skip: int = Field(default=0, ge=0)
    take: int = Field(default=_TAKE, ge=0)
    order: dict[str, str] = NEWEST_FIRST
    select: list[str] | None = None
    relations: list[str] = Field(default_factory=list)


def complete_list_config(
    context: MutableMapping[str, object], relations: Sequence[str], known: Collection[str]
) -> Document:
    """Complete the context's `list_config`, and return it: the flat keys, which it replaces, go before what it says itself.

    `relations` are those of a context that names none, and `known` all that a record has; where these lead is not looked at.
    Raises `JobRefused`, also for a relation that is not among them and for a name that is none of `list_config`.
    """
    given = {name: value for name in FLAT if (value := context.pop(name, None)) is not None}
    config = context.get("list_config") or {}
    if not isinstance(config, dict):
        raise JobRefused("list_config is an object", field="list_config")
    if unknown := [name for name in config if name not in ListConfig.model_fields]:
        takes = ", ".join(ListConfig.model_fields)
        raise JobRefused(f"list_config has no {unknown[0][:100]!r}; it takes {takes}", field="list_config")
    defaults = {"relations": list(relations), "skip": 0, "take": _TAKE, "order": dict(NEWEST_FIRST)}
    completed: Document = {**defaults, **config, **_list_config(given)}
    _check_relations(completed["relations"], known, "expand" if "expand" in given else "list_config.relations")
    context["list_config"] = completed
    return completed


def _check_relations(relations: object, known: Collection[str], field: str) -> None:
    for name in relations if isinstance(relations, list) else ():
        if isinstance(name, str) and name.partition(".")[0] not in known:
            raise JobRefused(f"There is no relation {name[:100]!r}; there are {', '.join(known)}", field=field)


def _list_config(given: Mapping[str, object]) -> Document:
    """What the flat keys say, in Medusa's words."""
    config: Document = {}
    if "expand" in given:
        config["relations"] = _names("expand", given["expand"])
    if "fields" in given:
        config["select"] = list(dict.fromkeys([*_names("fields", given["fields"]), "created_at", "id"]))
    if "offset" in given:
        config["skip"] = _number("offset", given["offset"])
    if "limit" in given:
        config["take"] = _number("limit", given["limit"])
    if "order" in given:
        order = given["order"]
        if not isinstance(order, str):
            raise JobRefused("order is the name of a field, with a minus in front for descending", field="order")
        config["order"] = {order.removeprefix("-"): "DESC" if order.startswith("-") else "ASC"}
    return config


def _number(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise JobRefused(f"{name} is a number from 0 up", field=name)
    return value


def _names(name: str, value: object) -> list[str]:
    names = value.split(",") if isinstance(value, str) else value
    if not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        raise JobRefused(f"{name} is a list of names", field=name)
    return [one for one in names if one]


def export_key(run: JobRun[BaseModel], folder: str, ending: str) -> str:
    """The key of a file that is exported: with the time in milliseconds, and six digits that keep apart what is exported in
    the same one."""
    digest = hashlib.sha256(f"{run.job_id}:{run.run_number}".encode()).digest()
    number = int.from_bytes(digest[:4]) % 1_000_000
    return f"exports/{folder}/{run.job_type}-{time.time_ns() // 1_000_000}{number:06d}{ending}"
