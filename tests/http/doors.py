"""The ways in for commands: the bus, HTTP and the command line. The cases of `test_commands.py` go through each."""

from __future__ import annotations

import asyncio
import json
from typing import Final, Protocol

from batchbus_events import topics
from batchbus_events.bus import Delivery, Message
from batchbus_events.catalog import TRIGGERS
from batchbus_events.event import Event, decode, encode
from batchbus_events.ids import derived_job_id, new_ulid
from batchbus_events.topics import Binding, Queue
from batchbus_service.cli.refusals import ExitCode
from batchbus_service.engine.commands import BUS, HTTP, Door
from batchbus_strategies import Json
from tests.cli.command import Command, Result
from tests.http.conftest import Person, Site
from tests.patience import PATIENCE

__all__ = ["Caller", "OnTheBus", "OnTheCommandLine", "OverHttp"]

MARKER = "marker"
_HTTP_WORDS = {"not_found": "unknown_job"}
"""What HTTP calls differently from the bus."""
_CAUSES: Final = {
    "was not found": "unknown_job",
    "Unable to find a BatchJob strategy": "unknown_job",
    "Cannot ": "not_allowed",
    "Not today": "invalid_data",
    "was made by another request": "conflict",
    "the database is behind": "unavailable",
}
"""What the command prints, which has no codes: the part of each message that names the cause."""


class Caller(Protocol):
    """Sends commands through one door. The answer is None, or the code of the refusal."""

    door: Door

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]: ...
    async def confirm(self, job_id: str, plan_digest: str | None = None) -> str | None: ...
    async def cancel(self, job_id: str) -> str | None: ...


class OnTheBus:
    door = BUS

    def __init__(self, site: Site) -> None:
        self._bus = site.service.bus
        self._refusals: dict[str | None, str] = {}
        self._arrived = asyncio.Condition()
        self._seen: dict[str, asyncio.Event] = {}

    async def listen(self) -> None:
        async def note(delivery: Delivery) -> None:
            if (mark := delivery.message.message_id) in self._seen:
                self._seen[str(mark)].set()
            else:
                event = decode(delivery.message.body)
                async with self._arrived:
                    self._refusals[event.causationid] = str(event.data["reason"])
                    self._arrived.notify_all()
            await delivery.ack()

        bindings = (Binding(topics.EVENTS, "batch.rejected.#"), Binding(topics.EVENTS, MARKER))
        await self._bus.consume(Queue(name="tests.refusals", bindings=bindings), note, prefetch=1)

    async def ask(self, trigger: Event) -> str | None:
        """Triggers are handled when `publish` returns; their rejections have arrived when a later message has."""
        await self._bus.publish(topics.TRIGGERS, Message(body=encode(trigger), routing_key=trigger.type))
        mark = new_ulid()
        seen = self._seen[mark] = asyncio.Event()
        await self._bus.publish(topics.EVENTS, Message(body=b"", routing_key=MARKER, message_id=mark))
        async with asyncio.timeout(PATIENCE):
            await seen.wait()
        return self._refusals.get(trigger.id)

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]:
        data: dict[str, Json] = {"type": type, "dry_run": dry_run, "context": context or {}}
        data |= {"idempotency_key": key} if key else {}
        trigger = Event(type="batch.created", source="/tests", id=new_ulid(), data=data)
        refusal = await self.ask(trigger)
        job_id = derived_job_id("bus-key", "/tests", key) if key else derived_job_id("event", "/tests", trigger.id)
        return job_id, refusal

    async def confirm(self, job_id: str, plan_digest: str | None = None) -> str | None:
        return await self.ask(self.trigger("confirmed", job_id, plan_digest))

    async def cancel(self, job_id: str) -> str | None:
        return await self.ask(self.trigger("canceled", job_id))

    def trigger(self, word: str, job_id: str, plan_digest: str | None = None) -> Event:
        data: dict[str, Json] = {"plan_digest": plan_digest} if plan_digest else {}
        schema = TRIGGERS[f"batch.{word}"].schema_for(data)
        return Event(type=f"batch.{word}", source="/tests", id=new_ulid(), subject=job_id, data=data, dataschema=schema)

    async def rejected(self, trigger: Event) -> str:
        """The code with which a trigger is rejected; waits for it."""
        async with asyncio.timeout(PATIENCE), self._arrived:
            await self._arrived.wait_for(lambda: trigger.id in self._refusals)
        return self._refusals[trigger.id]


class OverHttp:
    door = HTTP

    def __init__(self, person: Person) -> None:
        self._http = person.http

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]:
        body = {"type": type, "dry_run": dry_run, "context": context or {}}
        headers = {"idempotency-key": key} if key else {}
        response = await self._http.post("/admin/batch-jobs", json=body, headers=headers)
        if response.status_code == 201:
            return response.json()["batch_job"]["id"], None
        said = response.json()["type"]
        return "", _HTTP_WORDS.get(said, said)

    async def confirm(self, job_id: str, plan_digest: str | None = None) -> str | None:
        return await self._changed(job_id, "confirm", {"plan_digest": plan_digest} if plan_digest else None)

    async def cancel(self, job_id: str) -> str | None:
        return await self._changed(job_id, "cancel")

    async def retry(self, job_id: str) -> str | None:
        return await self._changed(job_id, "retry")

    async def check_again(self, job_id: str) -> str | None:
        return await self._changed(job_id, "check-again")

    async def _changed(self, job_id: str, word: str, body: dict[str, str] | None = None) -> str | None:
        response = await self._http.post(f"/admin/batch-jobs/{job_id}/{word}", json=body)
        if response.status_code == 200:
            return None
        said = response.json()["type"]
        return str(_HTTP_WORDS.get(said, said))


class OnTheCommandLine:
    """`batchbus submit` and the others, which talk to the service over HTTP: its door is that of HTTP."""

    door = HTTP

    def __init__(self, command: Command) -> None:
        self._command = command

    async def create(
        self, type: str, *, key: str | None = None, dry_run: bool = True, context: dict[str, Json] | None = None
    ) -> tuple[str, str | None]:
        options = ["--context", json.dumps(context or {})]
        options += ["--dry-run"] if dry_run else []
        options += ["--idempotency-key", key] if key else []
        result = await self._run("submit", type, *options)
        return ("", _cause(result)) if result.code else (result.json["batch_job"]["id"], None)

    async def confirm(self, job_id: str, plan_digest: str | None = None) -> str | None:
        """Without a digest it sends that of the plan that there is."""
        options = ["--plan-digest", plan_digest] if plan_digest else []
        return _cause(await self._run("confirm", job_id, *options))

    async def cancel(self, job_id: str) -> str | None:
        return _cause(await self._run("cancel", job_id))

    async def retry(self, job_id: str) -> str | None:
        return _cause(await self._run("retry", job_id))

    async def check_again(self, job_id: str) -> str | None:
        return _cause(await self._run("check-again", job_id))

    async def _run(self, *arguments: str) -> Result:
        """As a process, since the service that answers runs in this one; waited for on a thread, since it runs on this one."""
        return await asyncio.to_thread(self._command.apart, *arguments, "--json")


def _cause(result: Result) -> str | None:
    """The code of the refusal that the command has printed; None where it has carried out what was asked."""
    if result.code == 0:
        return None
    assert result.code in (ExitCode.REFUSED, ExitCode.NOT_FOUND) and result.out == "", result
    (code,) = {code for text, code in _CAUSES.items() if text in result.err}
    return code
