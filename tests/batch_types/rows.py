"""A batch type that reads an uploaded file: a line is a record, and a line with "bad" in it cannot be used."""

from typing import Any

from pydantic import BaseModel

from batchbus_strategies import Actor, BatchStrategy, Draft, FileMissing, JobRefused, JobRun


class RowsContext(BaseModel):
    fileKey: str  # noqa: N815  what it is called on the wire
    seen_by: str | None = None


class Rows(BatchStrategy[RowsContext]):
    identifier = "rows-strategy"
    batch_type = "rows"
    context_model = RowsContext

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        key = draft.context.get("fileKey")
        if isinstance(key, str):
            try:
                await self.services.files.size(key)
            except FileMissing:
                raise JobRefused("There is no such file", field="fileKey") from None
        if draft.context.get("forbidden"):
            raise JobRefused("Forbidden rows are not read", field="forbidden")
        draft.context["seen_by"] = actor.id

    async def pre_process(self, run: JobRun[RowsContext]) -> None:
        lines = await self._lines(run)
        run.expect(len(lines))
        run.describe("rows-count", "Rows to read", f"There will be {len(lines)} rows read")

    async def process(self, run: JobRun[RowsContext]) -> None:
        for number, line in enumerate(await self._lines(run), start=1):
            if "bad" in line:
                run.row_error(line=number, column="text", code="bad", message="it is bad", value=line)
            await run.advance()

    def build_template(self) -> bytes:
        return b"text\nan example\n"

    async def _lines(self, run: JobRun[Any]) -> list[str]:
        text = b"".join([chunk async for chunk in run.files.read(run.context.fileKey)])
        return text.decode().splitlines()
