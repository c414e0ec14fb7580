"""The wrong functions. Each is made from the right one, whose place it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from batchbus_service.domain.early import Placeholder
from batchbus_service.domain.lifecycle import Cause

__all__ = [
    "all_at_once",
    "all_that_waits",
    "all_written",
    "always",
    "any_fence",
    "any_version",
    "any_version_of_a_limit",
    "asynchronously",
    "begun_once",
    "blames_every_job",
    "every_line",
    "for_unpublished_only_if_leased",
    "forgets_first",
    "from_end_to_end",
    "however_exact",
    "in_this_process",
    "keeps",
    "no_part",
    "not_confirmed",
    "only_newer_triggers",
    "only_the_last",
    "rejects_early",
    "sleeps",
    "slot_for_nobody",
    "to_the_last",
    "twice",
    "unfenced",
    "without_lease",
]


def always(value: object) -> Callable[[Any], Any]:
    """A function that returns this and does nothing, whatever it is asked."""
    return lambda real: lambda *_arguments, **_more: value


def asynchronously(value: object) -> Callable[[Any], Any]:
    def make(_real: Any) -> Any:
        async def answer(*_arguments: object, **_more: object) -> object:
            return value

        return answer

    return make


def rejects_early(_real: Any) -> Any:
    async def keep_early(self: Any, job_id: str, _trigger: object, *, seconds: float) -> str:
        from batchbus_service.domain.errors import UnknownJob

        raise UnknownJob(job_id)

    return keep_early


def begun_once(_real: Any) -> Any:
    return lambda _self, name, body: asyncio.create_task(body(), name=name)


def blames_every_job(_real: Any) -> Any:
    return lambda self, job, now, error: self.run_lost(job, now, error, Cause())


def in_this_process(_real: Any) -> Any:
    def open_(self: Any, _job: object, strategy: object, lease: object, log: object) -> object:
        from batchbus_service.execution.execution import InProcess

        return InProcess(self._executor, self._clock, strategy, lease, log, self._worker)  # type: ignore[arg-type]

    return open_


def unfenced(real: Any) -> Any:
    def updates(self: Any, *arguments: Any) -> Any:
        made = real(self, *arguments)
        for update in made:
            update._filter.pop("$nor", None)
        return made

    return updates


def sleeps(_real: Any) -> Any:
    async def watch(_self: object) -> None:
        await asyncio.Event().wait()

    return watch


def every_line(_real: Any) -> Any:
    return lambda _self, _logger, _method, event: event


def keeps(*fields: str) -> Callable[[Any], Any]:
    """A decision that leaves these fields of the job as they were."""

    def make(real: Any) -> Any:
        def decide(self: Any, job: Any, *arguments: Any, **more: Any) -> Any:
            return replace(real(self, job, *arguments, **more), **{field: getattr(job, field) for field in fields})

        return decide

    return make


def without_lease(real: Any) -> Any:
    return lambda self, job, now, cause, **more: replace(real(self, job, now, cause, **more), lease=None)


def for_unpublished_only_if_leased(real: Any) -> Any:
    return lambda job, now, policy: real(job, now, policy) if job.lease or job.confirm_by else None


def however_exact(real: Any) -> Any:
    async def sure(self: Any, *, within: float = 0.0) -> Any:
        return await real(self, within=float("inf"))

    return sure


def all_at_once(_real: Any) -> Any:
    async def send(self: Any, batch: Any) -> Any:
        from batchbus_events.bus import BusError

        outcomes = await asyncio.gather(*(self._send_one(event) for event in batch), return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, BusError):
                return number, outcome
        return len(batch), None

    return send


def only_newer_triggers(real: Any) -> Any:
    async def hold(self: Any, delivery: Any, reason: str) -> None:
        if "dataschema" not in reason:
            raise ValueError(reason)
        await real(self, delivery, reason)

    return hold


def any_version(real: Any) -> Any:
    async def update(self: Any, old: Any, new: Any, **more: Any) -> bool:
        stored = await self.get(old.id)
        return bool(await real(self, replace(old, version=stored.version) if stored else old, new, **more))

    return update


def any_version_of_a_limit(real: Any) -> Any:
    async def write(self: Any, _old: object, new: Any) -> bool:
        return bool(await real(self, await self.get(new.name), new))

    return write


def from_end_to_end(_real: Any) -> Any:
    return lambda start, size, number: start + number / size


def any_fence(real: Any) -> Any:
    async def renew(self: Any, renewal: Any) -> bool:
        stored = await self.get(renewal.job_id)
        return bool(await real(self, replace(renewal, fence=stored.fence) if stored else renewal))

    return renew


def twice(real: Any) -> Any:
    """As if a trigger had not been seen before."""
    return lambda self, job, now, cause, **more: real(self, replace(job, triggers=()), now, cause, **more)


def forgets_first(real: Any) -> Any:
    async def end(self: Any, placeholder: Placeholder) -> None:
        await self._transitions.store.drop_placeholder(placeholder)

    return end


def no_part(real: Any) -> Any:
    def cut(self: Any) -> int:
        real(self)
        return 0

    return cut


def slot_for_nobody(_real: Any) -> Any:
    def give_back(self: Any, phase: Any) -> None:
        self._free[phase] += 1

    return give_back


def not_confirmed(real: Any) -> Any:
    def pre_processed(self: Any, job: Any, *arguments: Any, **more: Any) -> Any:
        return real(self, replace(job, confirmed_early=None), *arguments, **more)

    return pre_processed


def only_the_last(real: Any) -> Any:
    def hand_over(self: Any, job: Any, *, written: int, other: Any = None) -> None:
        real(
            self, replace(job, published=max(job.published, len(job.history) - 1)), written=min(written, 1), other=other
        )

    return hand_over


def all_written(_real: Any) -> Any:
    async def _ask_for(_self: object, _writes: object, answers: list[object], unsure: Any) -> None:
        for place in unsure:
            answers[place] = True

    return _ask_for


def all_that_waits(_real: Any) -> Any:
    def _taken(self: Any) -> object:
        taken, self._waiting = self._waiting, []
        return taken

    return _taken


def to_the_last(real: Any) -> Any:
    async def _offer(self: Any, pending: Any, entries: Any) -> None:
        done = pending.done
        await real(self, pending, entries)
        if len(entries) > 1 and pending.done > done:
            pending.done = entries[-1].seq

    return _offer
