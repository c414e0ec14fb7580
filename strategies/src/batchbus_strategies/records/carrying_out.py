"""Processing an import: carry the plan out, chunk by chunk, and keep what became of each record."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Final, TypedDict

from pydantic_core import from_json, to_json

from batchbus_events.tasks import ahead
from batchbus_strategies.records.applying import Applied, What, apply_operations, as_planned
from batchbus_strategies.records.context import RecordImportContext
from batchbus_strategies.records.indexes import ensure_indexes
from batchbus_strategies.records.leftovers import BadLines, messages_by_line, write_error_file
from batchbus_strategies.records.options import ImportOptions
from batchbus_strategies.records.plan import Operation, PlanChunk, PlannedError, read_chunks
from batchbus_strategies.records.schema import Schema
from batchbus_strategies.records.sizes import size_of
from batchbus_strategies.strategy import FieldValue, FileMissing, FileWriter, JobRun, Json, StrategyError

__all__ = ["CatalogChanged", "Outcome", "carry_out_plan"]

AfterApply = Callable[[Sequence[Applied]], Awaitable[None]]
_WRITTEN: Final = frozenset({"created", "updated", "deleted"})


class CatalogChanged(StrategyError):
    """Someone else has changed records since the plan was made. What does not concern those was applied."""


class Outcome(TypedDict):
    """What became of a record: a line of the outcome file."""

    key: list[str]
    line: int
    lines: list[int]
    what: What
    id: FieldValue
    """Null for one that was refused."""
    revision: str | None
    """The one that its document has since; null if it was not written."""
    reason: str | None
    """Why it was refused, or is in conflict."""


async def carry_out_plan(
    run: JobRun[RecordImportContext], schema: Schema, options: ImportOptions, *, after_apply: AfterApply
) -> None:
    """From the checkpoint on. Raises `CatalogChanged` after a chunk with conflicts, unless they are to be skipped."""
    await _CarryingOut(run, schema, options, after_apply).go_on()


class _CarryingOut:
    """The processing of one job, as far as one run gets."""

    def __init__(
        self, run: JobRun[RecordImportContext], schema: Schema, options: ImportOptions, after_apply: AfterApply
    ) -> None:
        self._run = run
        self._schema = schema
        self._options = options
        self._after_apply = after_apply
        try:
            self._plan: str = run.result["files"]["PLAN"]
        except KeyError:
            raise StrategyError("There is no plan to apply: the job was not pre-processed", public=True) from None
        self._end = 0
        """Of what has been carried out, in the plan's file."""
        now = datetime.now(UTC)
        self._now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what MongoDB keeps
        """The time that all records of this import bear."""
        self._finished: Json = None
        """What is told in the end, once the outcome is kept."""
        self._counts: Counter[str] = Counter()
        """Of what became of records."""
        self._bad_lines = BadLines()
        """For the error file: what is wrong with the lines that were not applied."""
        self._with_conflicts: list[int] = []
        """The places in the plan of chunks with conflicts."""
        self._stopped: list[Json] | None = None
        """Why nothing more is applied, in words for people: with values of records, and without any."""
        if isinstance(state := run.resume_from, dict):
            end, at = state["offset"], state["at"]
            assert isinstance(end, int) and isinstance(at, float)
            self._end, self._now = end, datetime.fromtimestamp(at, UTC)
            self._finished = state.get("finished")

    async def go_on(self) -> None:
        run = self._run
        if self._finished is None:
            await ensure_indexes(run.catalog, self._schema)
            key = f"imports/{run.job_type}/outcomes/{run.run_number}-{run.job_id}-OUTCOME.jsonl"
            async with run.files.write(key) as file:
                await self._repeat_outcomes(file)
                await self._apply_rest(file)
            files = {"OUTCOME": key}
            if errors := await write_error_file(run, self._bad_lines):
                files["ERRORS"] = errors
            self._finished = {"files": dict(files), "outcome": dict(self._counts), "stopped": self._stopped}
            await self._checkpoint()
        assert isinstance(self._finished, dict)
        run.result["files"] = run.result["files"] | self._finished["files"]
        run.result["outcome"] = self._finished["outcome"]
        for offset in self._with_conflicts:
            await run.files.delete(self._conflicts_key(offset))
        stopped = self._finished.get("stopped")
        if isinstance(stopped, list):
            message, without_values = map(str, stopped)
            raise CatalogChanged(message, without_values=without_values)

    async def _apply_rest(self, file: FileWriter) -> None:
        async with aclosing(ahead(self._chunks(self._end))) as chunks:
            async for chunk in chunks:
                if self._stopped is not None:
                    return
                await self._apply(chunk, file)

    def _chunks(self, start: int) -> AsyncGenerator[PlanChunk, None]:
        size, form = self._options.chunk_size, self._options.form
        return read_chunks(self._run.files, self._plan, start=start, size=size, form=form)

    def _weight(self, applied: Applied) -> int:
        """For how many of the records that the job counts an operation stands."""
        if applied.what not in _WRITTEN:
            return 0
        return size_of(applied.operation, self._schema).total if self._options.counts_elements else 1

    async def _apply(self, chunk: PlanChunk, file: FileWriter) -> None:
        run = self._run
        applied = await apply_operations(run, self._schema, chunk.operations, self._now)
        await self._after_apply(applied)
        conflicts = [each for each in applied if each.what == "conflict"]
        reasons = {
            str(each.operation["line"]): each.reason for each in conflicts if each.operation["op"] != "reference"
        }
        if reasons:
            await self._keep_conflicts(chunk.start, reasons)
        await self._keep_outcomes(file, chunk, reasons)
        await run.advance(sum(map(self._weight, applied)))
        for each in conflicts:
            operation = each.operation
            assert operation["op"] != "reference" and each.reason
            key = " ".join(operation["key"])
            run.row_error(line=operation["line"], column=None, code="conflict", message=each.reason, value=key)
        self._end = chunk.end
        await self._checkpoint()

    async def _checkpoint(self) -> None:
        await self._run.checkpoint({"offset": self._end, "at": self._now.timestamp(), "finished": self._finished})

    # -- what became of each record --------------------------------------------------------------------------------
    #
    # It follows from the plan, but for conflicts. A file of the file store is written whole, while a run may end
    # anywhere: so the conflicts of a chunk have a file of their own, which a run that repeats the chunk writes again.
    # A run begins the file of all outcomes with those of the chunks that were carried out before it.

    def _conflicts_key(self, offset: int) -> str:
        return f"imports/{self._run.job_type}/conflicts/{self._run.job_id}/{offset}.json"

    async def _keep_conflicts(self, offset: int, reasons: Mapping[str, str | None]) -> None:
        async with self._run.files.write(self._conflicts_key(offset)) as file:
            await file.write(to_json(reasons))

    async def _conflicts(self, offset: int) -> Mapping[str, str]:
        """Why the records of a chunk are in conflict that are, by their first lines."""
        try:
            content = b"".join([piece async for piece in self._run.files.read(self._conflicts_key(offset))])
        except FileMissing:
            return {}
        conflicts: Mapping[str, str] = from_json(content)
        return conflicts

    async def _repeat_outcomes(self, file: FileWriter) -> None:
        if not self._end:
            return
        async with aclosing(self._chunks(0)) as chunks:
            async for chunk in chunks:
                if chunk.start >= self._end:
                    break
                await self._keep_outcomes(file, chunk, await self._conflicts(chunk.start))

    async def _keep_outcomes(self, file: FileWriter, chunk: PlanChunk, conflicts: Mapping[str, str | None]) -> None:
        if conflicts:
            self._with_conflicts.append(chunk.start)
            if self._run.context.on_error == "abort":
                line, reason = next(iter(conflicts.items()))
                without_values = f"{len(conflicts)} records were not written, and the import stopped there; the first is that of line {line}"
                listed = "What was written before stays, and is listed in the outcome"
                self._stopped = [f"{without_values}: {reason}. {listed}", without_values]
        outcomes = list(_outcomes(chunk.operations, conflicts))
        self._counts.update(each["what"] for each in outcomes)
        for each in outcomes:
            if each["what"] in ("refused", "conflict"):
                self._bad_lines.add(dict.fromkeys(each["lines"], each["reason"] or ""))
        if self._options.by_rows:
            self._bad_lines.add(_omitted_rows(chunk.operations))
        await file.write(b"".join([to_json(each, fallback=str) + b"\n" for each in outcomes]))


def _omitted_rows(operations: Sequence[Operation]) -> dict[int, str]:
    """What is wrong with single rows of records that are written, by line."""
    errors: list[PlannedError] = []
    for operation in operations:
        if operation["op"] == "create" or operation["op"] == "update":
            errors += operation.get("left_out", ())
    return messages_by_line([], errors)


def _outcomes(operations: Sequence[Operation], conflicts: Mapping[str, str | None]) -> Iterator[Outcome]:
    for operation in operations:
        if operation["op"] == "reference":
            continue
        applied = as_planned(operation)
        if reason := conflicts.get(str(operation["line"])):
            applied = Applied(operation, "conflict", reason)
        if operation["op"] == "error":
            reason = "; ".join(messages_by_line(operation["lines"], operation["errors"]).values())
        revision = None
        if applied.what in _WRITTEN and operation["op"] in ("create", "update", "delete"):
            revision = operation["revision"]
        yield Outcome(
            key=operation["key"],
            line=operation["line"],
            lines=operation["lines"],
            what=applied.what,
            id=None if operation["op"] == "error" else operation["id"],
            revision=revision,
            reason=reason,
        )
