"""A batch type that makes a plan: `rows` lines of JSON, written in pieces that break where they will."""

from pydantic import BaseModel
from pydantic_core import to_json

from batchbus_strategies import BatchStrategy, JobRun


class PlannedContext(BaseModel):
    rows: int
    pad: int = 0
    """Bytes that each row has besides."""
    ended: bool = True
    """Whether the last line ends in a line feed."""
    source: str | None = None
    """A file, whose content is of no use here."""


class Planned(BatchStrategy[PlannedContext]):
    identifier = "planned-strategy"
    batch_type = "planned"
    context_model = PlannedContext
    file_fields = ("source",)
    plan_field = "steps"

    async def pre_process(self, run: JobRun[PlannedContext]) -> None:
        key = f"plans/{run.job_id}-{run.run_number}.jsonl"
        rows = [to_json({"row": row, "pad": "x" * run.context.pad}) for row in range(run.context.rows)]
        text = b"\n".join(rows) + (b"\n" if run.context.ended and rows else b"")
        async with run.files.write(key) as file:
            for start in range(0, len(text), 10_000):
                await file.write(text[start : start + 10_000])
        run.expect(len(rows))
        run.result["steps"] = key
