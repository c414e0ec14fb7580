"""`list_config`, by which clients of Medusa say which part of a collection they want, in which order; and file keys.

The names are Medusa's. `take`, `select` and `relations` are kept for its clients and have no effect: an export has every
column unless its own context says which, and as many records as `batch_size` allows.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from batchbus_strategies.strategy import Document, JobRefused, JobRun

__all__ = ["NEWEST_FIRST", "ListConfig", "complete_list_config", "export_key"]

_TAKE: Final = 50
NEWEST_FIRST: Final = {"created_at": "DESC"}
_FLAT: Final = ("limit", "offset", "order", "fields", "expand")


class ListConfig(BaseModel):
    """Which part of the records, in which order."""

    model_config = ConfigDict(extra="allow")

    skip: int = Field(default=0, ge=0)
    take: int = Field(default=_TAKE, ge=0)
    order: dict[str, str] = NEWEST_FIRST
    select: list[str] | None = None
    relations: list[str] = Field(default_factory=list)


def complete_list_config(context: MutableMapping[str, object], relations: Sequence[str]) -> Document:
    """Complete the context's `list_config`, and return it: the flat keys, which it replaces, go before what it says
    itself. `relations` are those of a context that names none. Raises `JobRefused`."""
    given = {name: value for name in _FLAT if (value := context.pop(name, None)) is not None}
    config = context.get("list_config") or {}
    if not isinstance(config, dict):
        raise JobRefused("list_config is an object", field="list_config")
    defaults = {"relations": list(relations), "skip": 0, "take": _TAKE, "order": dict(NEWEST_FIRST)}
    completed: Document = {**defaults, **config, **_list_config(given)}
    context["list_config"] = completed
    return completed


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
