"""Processing a price list's import: one write, which gives the list all its prices, and what became of each variant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from pydantic_core import to_json
from pymongo import WriteConcern

from batchbus_strategies.catalog.living import LIVING, living
from batchbus_strategies.price_lists.document import find_price_list, fingerprint, revision_of
from batchbus_strategies.records.applying import as_planned
from batchbus_strategies.records.carrying_out import CatalogChanged, Outcome
from batchbus_strategies.records.leftovers import messages_by_line, write_error_file
from batchbus_strategies.records.plan import Operation, read_chunks
from batchbus_strategies.strategy import Document, StrategyError

if TYPE_CHECKING:
    from batchbus_strategies.records import RecordImportContext
    from batchbus_strategies.strategy import JobRun

__all__ = ["replace_prices"]

_CHUNK: Final = 1000
_DURABLE: Final = WriteConcern(w="majority", j=True)


async def replace_prices(run: JobRun[RecordImportContext]) -> None:
    """Raises `CatalogChanged`, and writes nothing, if the list has other prices than when the plan was made."""
    try:
        plan = run.result["files"]["PLAN"]
    except KeyError:
        raise StrategyError("There is no plan to apply: the job was not pre-processed", public=True) from None
    operations: list[Operation] = []
    async for chunk in read_chunks(run.files, plan, start=0, size=_CHUNK):
        operations += chunk.operations
    if run.resume_from is None:
        await _write(run, operations)
        await run.advance(sum(1 for each in operations if each["op"] not in ("error", "delete")))
        await run.checkpoint({"written": True})
    await _tell(run, operations)


async def _write(run: JobRun[RecordImportContext], operations: Sequence[Operation]) -> None:
    planned: Document = run.result["price_list"]
    revision = revision_of(run.job_id)
    price_list = await find_price_list(run.catalog, planned["id"])
    if price_list.get("revision") == revision:
        return  # by a run that ended before it could say so
    if fingerprint(price_list) != planned["fingerprint"]:
        raise _changed(planned["id"])
    if not any(each["op"] in ("create", "update", "delete") for each in operations):
        return
    seen = {"revision": price_list["revision"]} if "revision" in price_list else {"revision": {"$exists": False}}
    where = {"_id": planned["id"], **seen, **LIVING}
    now = datetime.now(UTC)
    change = {"prices": _prices(price_list, operations), "revision": revision, "updated_at": now}
    run.ensure_lease()
    price_lists = run.catalog["price_lists"].with_options(write_concern=_DURABLE)
    if (await price_lists.update_one(where, {"$set": change})).matched_count == 0:
        raise _changed(planned["id"])


def _changed(id_: str) -> CatalogChanged:
    return CatalogChanged(f"The price list {id_} has been changed since the plan was made, so nothing was written")


def _prices(price_list: Document, operations: Sequence[Operation]) -> list[Document]:
    """All prices of the list: new ones in the order of the file, behind those of variants that keep theirs."""
    changed: dict[str, list[Document]] = {}
    for each in operations:
        match each["op"]:
            case "create":
                changed[each["id"]] = each["document"]["prices"]
            case "update":
                changed[each["id"]] = each["changes"]["prices"]["new"]
            case "delete":
                changed[each["id"]] = []
            case _:
                pass
    kept = [price for price in living(price_list.get("prices")) if (price.get("variant_id") or "") not in changed]
    return [*kept, *(price for prices in changed.values() for price in prices)]


async def _tell(run: JobRun[RecordImportContext], operations: Sequence[Operation]) -> None:
    """The outcome, a line for each variant; and the error file, if rows were left out."""
    key = f"imports/{run.job_type}/outcomes/{run.run_number}-{run.job_id}-OUTCOME.jsonl"
    outcomes = [_outcome(each) for each in operations if each["op"] != "reference"]
    async with run.files.write(key) as file:
        for first in range(0, len(outcomes), _CHUNK):
            await file.write(b"".join(to_json(each) + b"\n" for each in outcomes[first : first + _CHUNK]))
    files = {"OUTCOME": key}
    lines: dict[int, str] = {}
    for each in operations:
        if each["op"] != "reference":
            lines |= (
                messages_by_line(each["lines"], each["errors"])
                if each["op"] == "error"
                else dict.fromkeys(each["lines"], "")
            )
    # The file replaces all prices, so the one that is mended has to have all rows.
    if any(lines.values()) and (errors := await write_error_file(run, lines)):
        files["ERRORS"] = errors
    run.result["files"] = run.result["files"] | files
    run.result["outcome"] = dict(Counter(each["what"] for each in outcomes))


def _outcome(operation: Operation) -> Outcome:
    assert operation["op"] != "reference"
    reason = "; ".join(error["message"] for error in operation["errors"]) if operation["op"] == "error" else None
    return Outcome(
        key=operation["key"],
        line=operation["line"],
        lines=operation["lines"],
        what=as_planned(operation).what,
        id=None if operation["op"] == "error" else operation["id"],
        revision=operation["revision"] if operation["op"] in ("create", "update", "delete") else None,
        reason=reason,
    )
