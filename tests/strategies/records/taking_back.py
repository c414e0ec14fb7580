"""The opposite of an import of products, worked out from its plan and its outcome alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from batchbus_strategies.records.applying import apply_operations
from batchbus_strategies.records.plan import Change, Delete, Operation, Update
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.testing import FakeJob
from tests.strategies.records.goods import Goods, Product

__all__ = ["same_apart_from_times", "take_back"]

_OF_APPLYING: Final = {"created_at", "updated_at", "revision", "skus"}


async def take_back(goods: Goods, job: FakeJob[Any]) -> None:
    """Carry out the opposite of what a job has done."""
    outcomes = {line["line"]: line for line in goods.lines(job, "OUTCOME")}
    plan = [line for line in goods.lines(job, "PLAN") if line["op"] in ("create", "update", "delete")]
    back = [each for line in plan if (each := _opposite(line, outcomes[line["line"]]["revision"])) is not None]
    applied = await apply_operations(job.runs[-1], schema_of(Product), back, datetime.now(UTC))
    assert {each.what for each in applied} <= {"updated", "deleted"}
    for line in plan:
        if line["op"] == "delete":
            where = {"_id": line["id"], "revision": outcomes[line["line"]]["revision"]}
            await goods.services.catalog["products"].update_one(where, {"$unset": {"deleted_at": ""}})


def _opposite(line: Mapping[str, Any], revision: str) -> Operation | None:
    of_record = {name: line[name] for name in ("line", "lines", "key", "id")} | {"seen": revision, "revision": "back"}
    if line["op"] == "create":
        return cast(Delete, {"op": "delete", "document": line["document"], **of_record})
    if line["op"] == "update":
        changes = {path: _exchanged(change) for path, change in line["changes"].items()}
        return cast(Update, {"op": "update", "changes": changes, **of_record})
    return None


def _exchanged(change: Change) -> Change:
    names = {"old": "new", "new": "old"}
    return cast(Change, {names[name]: value for name, value in change.items()})


def same_apart_from_times(value: Any) -> Any:
    """An element that goes and comes back is the last of its list: who it is does not depend on its place."""
    if isinstance(value, Mapping):
        found = {name: same_apart_from_times(each) for name, each in value.items() if name not in _OF_APPLYING}
        if "prices" in found:
            found["prices"] = sorted(found["prices"], key=lambda price: str(price["id"]))
        return {name: each for name, each in found.items() if name != "deleted_at" or each is not None}
    return [same_apart_from_times(each) for each in value] if isinstance(value, list) else value
