"""A batch type whose preview waits until it is let go, and whose preparation can refuse a job."""

from __future__ import annotations

import asyncio

from batchbus_strategies import Actor, AnyContext, BatchStrategy, Draft, JobRefused, JobRun


class PreviewedStrategy(BatchStrategy[AnyContext]):
    """`preview` is an event: previews end once it is set."""

    identifier = "previewed-strategy"
    batch_type = "previewed"

    def __init__(self) -> None:
        self.preview = asyncio.Event()
        self.digests: list[str] = []
        """The digest of each plan that comes, the last of them for all after it; none if there are none."""
        self.prepared: list[str] = []
        """Who asked for each job that was prepared."""

    async def prepare(self, draft: Draft, actor: Actor) -> None:
        self.prepared.append(actor.id)
        if draft.context.get("refused"):
            raise JobRefused("Not today", field="refused")

    async def pre_process(self, run: JobRun[AnyContext]) -> None:
        await self.preview.wait()
        if self.digests:
            digest = self.digests.pop(0) if len(self.digests) > 1 else self.digests[0]
            run.result["plan_digest"] = digest
            run.result["operations"] = {"create": len(digest), "update": 1}
