"""How much an operation of a plan does: to its record, and to the record's elements."""

from __future__ import annotations

import operator
from typing import NamedTuple

from batchbus_strategies.records.paths import parse_path
from batchbus_strategies.records.plan import Operation
from batchbus_strategies.records.schema import Schema

__all__ = ["Size", "size_of"]


class Size(NamedTuple):
    """Records and elements that are created and updated."""

    records_created: int = 0
    records_updated: int = 0
    """Of which something changes besides their elements."""
    elements_created: int = 0
    elements_updated: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    def plus(self, other: Size) -> Size:
        return Size(*map(operator.add, self, other))


_NOTHING = Size()


def size_of(operation: Operation, schema: Schema) -> Size:
    """Deletes count for nothing."""
    rows = schema.rows.path if schema.rows else ""
    if operation["op"] == "create":
        return Size(1, 0, len(operation["document"].get(rows) or ()), 0)
    if operation["op"] != "update":
        return _NOTHING
    own, new, changed = 0, 0, set[str]()
    for path, change in operation["changes"].items():
        steps = parse_path(path)
        if path == rows and isinstance(elements := change.get("new"), list):
            new += len(elements)
        elif steps is None or steps.field != rows:
            own = 1
        elif not steps.rest and "old" not in change:
            new += 1
        else:
            changed.add(steps.identity)
    return Size(0, own, new, len(changed))
