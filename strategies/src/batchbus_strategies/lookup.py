"""Looking many records up by a key, in queries that suit the server."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from batchbus_strategies.strategy import CatalogCollection, Document, StrategyError, SyncCatalogCollection

__all__ = ["KEYS_IN_A_QUERY", "look_up", "look_up_blocking"]

KEYS_IN_A_QUERY: Final = 100
"""Simple planners, such as that of the embedded database, take quadratic time for long lists."""
_QUERIES_AT_ONCE: Final = 4
"""Enough: 2000 of 50,000 records take the embedded database 0.4 s so, 0.9 s one query after the other, 0.3 s in eight."""

V = TypeVar("V", bound=Hashable)


async def look_up(
    collection: CatalogCollection,
    field: str,
    values: Iterable[V],
    *,
    fields: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
) -> dict[V, Document]:
    """The records that have one of the values in that field, by their value; values that none has are left out.

    The field may have dots in it, and may hold arrays, as `variants.sku`: then a record stands under each of the values
    that it has. Of several records with one value, any one is taken. It wants an index on the field.
    `fields`: what of the records is read, besides `_id` and the field itself; None for all. `where`: what else they have
    to fulfil, as a query. Asks for a hundred values at once, in up to four queries side by side.
    Raises: `StrategyError` for a value that is None, which every record without the field would have; and what the driver
    raises.
    """
    found: dict[V, Document] = {}
    batches = _batches(values)
    projection = _projection(field, fields)

    async def work() -> None:
        for batch in batches:  # of which each takes what is next
            query = _query(field, batch, where)
            _keep(found, batch, await collection.find(query, projection).to_list(None), field)

    tasks = [asyncio.create_task(work(), name=f"looking up {field}") for _ in range(_QUERIES_AT_ONCE)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return found


def look_up_blocking(
    collection: SyncCatalogCollection,
    field: str,
    values: Iterable[V],
    *,
    fields: Sequence[str] | None = None,
    where: Mapping[str, object] | None = None,
) -> dict[V, Document]:
    """As `look_up`, for a plain `def`, with a collection of `run.sync.catalog`; one query after the other."""
    found: dict[V, Document] = {}
    projection = _projection(field, fields)
    for batch in _batches(values):
        query = _query(field, batch, where)
        _keep(found, batch, list(collection.find(query, projection)), field)
    return found


def _batches(values: Iterable[V]) -> Iterator[list[V]]:
    """Each value once."""
    batch: list[V] = []
    for value in dict.fromkeys(values):
        if value is None:
            raise StrategyError(
                "look_up: None is no value to look up: every record without the field has it", public=True
            )
        batch.append(value)
        if len(batch) == KEYS_IN_A_QUERY:
            yield batch
            batch = []
    if batch:
        yield batch


def _query(field: str, batch: list[V], where: Mapping[str, object] | None) -> Document:
    """`where` may say something of the field, too, and then both hold."""
    asked = {field: {"$in": batch}}
    if where and field in where:
        return {"$and": [asked, dict(where)]}
    return {**(where or {}), **asked}


def _projection(field: str, fields: Sequence[str] | None) -> dict[str, bool] | None:
    """With the field itself, and without a field inside of another, which servers refuse."""
    if fields is None:
        return None
    wanted = {*fields, field}
    return {name: True for name in wanted if not any(name.startswith(f"{other}.") for other in wanted)}


def _keep(found: dict[V, Document], batch: Sequence[V], documents: Iterable[Document], field: str) -> None:
    asked_for = set(batch)
    for document in documents:
        for value in _values(document, field.split(".")):
            if isinstance(value, Hashable) and value in asked_for:
                found[value] = document


def _values(node: object, path: Sequence[str]) -> Iterator[Any]:
    """What stands at the path, through arrays, as a query looks at it."""
    if isinstance(node, list):
        for item in node:
            yield from _values(item, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])
