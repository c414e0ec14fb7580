"""A batch type that blocks the loop that all `async def` strategies share, until it is released."""

from __future__ import annotations

import threading

from batchbus_strategies import Actor, AnyContext, BatchStrategy, Draft, JobRun


class Blocking(BatchStrategy[AnyContext]):
    identifier = "blocking-strategy"
    batch_type = "blocking"

    def __init__(self) -> None:
        self.blocks = threading.Event()
        self.released = threading.Event()

    async def process(self, run: JobRun[AnyContext]) -> None:
        self.blocks.set()
        self.released.wait()


class Asking(BatchStrategy[AnyContext]):
    """Asks the catalogue before there is a job."""

    identifier = "asking-strategy"
    batch_type = "asking"

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        draft.context["products"] = await self.services.catalog["products"].count_documents({})

    async def process(self, run: JobRun[AnyContext]) -> None:
        """There is nothing to do."""
