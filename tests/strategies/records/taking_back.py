"""The opposite of an import, worked out from its plan and its outcome alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from pydantic_core import from_json

from batchbus_strategies.records.applying import apply_operations
from batchbus_strategies.records.plan import Change, Delete, Operation, PlanForm, Update, decode
from batchbus_strategies.records.record import Record
from batchbus_strategies.records.schema import schema_of
from batchbus_strategies.testing import FakeJob, LocalFiles

__all__ = ["same_apart_from_times", "take_back"]

_OF_APPLYING: Final = {"created_at", "updated_at", "revision", "skus", "barcodes"}
_USUAL: Final = PlanForm()


async def take_back(job: FakeJob[Any], record: type[Record], form: PlanForm = _USUAL) -> None:
    """Carry out the opposite of what a job has done with such records."""
    assert isinstance(job.services.files, LocalFiles)
    files = job.result["files"]
    told = map(from_json, job.services.files.get(files["OUTCOME"]).splitlines())
    outcomes = {line["line"]: line for line in told}
    plan = [decode(line, form) for line in job.services.files.get(files["PLAN"]).splitlines()]
    done = [line for line in plan if line["op"] in ("create", "update", "delete")]
    back = [each for line in done if (each := _opposite(line, outcomes[line["line"]]["revision"])) is not None]
    applied = await apply_operations(job.runs[-1], schema_of(record), back, datetime.now(UTC))
    assert {each.what for each in applied} <= {"updated", "deleted"}
    catalog = job.services.catalog
    for line in plan:
        if line["op"] == "delete":
            where = {"_id": line["id"], "revision": outcomes[line["line"]]["revision"]}
            await catalog[record.collection].update_one(where, {"$unset": {"deleted_at": ""}})
        elif line["op"] == "reference":
            await catalog[line["collection"]].delete_one({"_id": line["id"]})


def _opposite(line: Mapping[str, Any], revision: str) -> Operation | None:
    of_record = {name: line[name] for name in ("line", "lines", "key", "id")}
    of_record |= {
        "seen": revision,
        "revision": line.get("seen", "back"),
    }  # so that the job before can be taken back, too
    if line["op"] == "create":
        return cast(Delete, {"op": "delete", "document": line["document"], **of_record})
    if line["op"] == "update" and line["changes"]:  # without any, its only row was left out
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
