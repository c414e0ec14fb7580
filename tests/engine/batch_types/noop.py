"""A batch type that does nothing, to measure everything around it."""

from batchbus_strategies import AnyContext, BatchStrategy, JobRun


class Noop(BatchStrategy[AnyContext]):
    identifier = "noop-strategy"
    batch_type = "noop"

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        """There is nothing to find out."""

    async def process(self, run: JobRun[AnyContext]) -> None:
        """There is nothing to do."""
