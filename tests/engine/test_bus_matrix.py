"""Every operation on the bus by everyone who may publish there: the table in docs/access.md, tried cell by cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from batchbus_events.bus import PRINCIPAL
from batchbus_events.event import Event
from batchbus_events.ids import derived_job_id, new_job_id, new_ulid
from batchbus_service.domain.job import Status
from tests.docs.tables import table_of
from tests.engine.broker import Broker, trigger

TABLE: Final = table_of("docs/access.md", "operation on the bus")
USERS: Final[dict[str, dict[str, str | None]]] = {
    "own": {"shop": "shop", "an operator": "ops", "unvouched: `own`": None},
    "trusted": {"unvouched: `trusted`": None},
    "refuse": {"unvouched: `refuse`": None},
}
"""By the value of `BATCHBUS_UNVOUCHED`: the columns of the table, and the users of the broker that they are about."""

Operation = Callable[[Broker, str | None], Awaitable[bool]]
"""Tries it as a user of the broker, or as nobody it knows. Returns whether it was carried out."""


def _created(job_id: str | None, **more: str) -> Event:
    return trigger("created", job_id, type="noop", dry_run=True, **more)


async def _create(broker: Broker, user: str | None) -> bool:
    return await broker.publish(user, _created(None)) is None


async def _create_new_id(broker: Broker, user: str | None) -> bool:
    return await broker.publish(user, _created(new_job_id())) is None


async def _create_id_of_a_key(broker: Broker, user: str | None) -> bool:
    return await broker.publish(user, _created(derived_job_id("user-key", "usr_ann", new_ulid()))) is None


async def _use_a_key(broker: Broker, user: str | None) -> bool:
    key = new_ulid()
    assert await broker.publish("billing", _created(None, idempotency_key=key)) is None
    before = len(broker.created_ids)
    await broker.publish(user, _created(None, idempotency_key=key))
    return len(broker.created_ids) == before + 1


async def _ask_again(broker: Broker, user: str | None) -> bool:
    event = _created(new_job_id())
    return {await broker.publish(user, event), await broker.publish(user, event)} == {None}


async def _ask_for_anothers(broker: Broker, user: str | None) -> bool:
    event = _created(new_job_id(), created_by="Ann")
    assert await broker.publish("billing", event) is None
    return await broker.publish(user, event) is None


def _change(word: str, job: Callable[[Broker, str | None], Awaitable[str]]) -> Operation:
    async def change(broker: Broker, user: str | None) -> bool:
        job_id = await job(broker, user)
        before = (await broker.job(job_id)).status if job_id in broker.created_ids else None
        done = await broker.publish(user, trigger(word, job_id)) is None
        if before and not done:
            assert (await broker.job(job_id)).status is before
        return done and before is not None

    return change


async def _own(broker: Broker, user: str | None) -> str:
    event = _created(new_job_id())
    assert event.subject
    if await broker.publish(user, event) is None:
        await broker.until(event.subject, Status.PRE_PROCESSED)
    return event.subject


async def _of_billing(broker: Broker, _: str | None) -> str:
    return await broker.created("billing")


async def _of_a_user(broker: Broker, _: str | None) -> str:
    return await broker.created_over_http()


async def _confirm_early(broker: Broker, user: str | None) -> bool:
    job_id = new_job_id()
    early = trigger("confirmed", job_id)
    await broker.publish(user, early)
    assert await broker.publish("billing", _created(job_id)) is None
    await broker.until(job_id, Status.PRE_PROCESSED)
    return broker.rejection(early) is None


async def _speak_for_another(broker: Broker, user: str | None) -> bool:
    job_id = await broker.created("billing")
    await broker.publish(user, trigger("canceled", job_id), **{PRINCIPAL: "/users/usr_olga"})
    return "/users/usr_olga" in str((await broker.job(job_id)).history)


OPERATIONS: Final[dict[str, Operation]] = {
    "create a job": _create,
    "create a job with a new id": _create_new_id,
    "create a job with an id that comes of somebody's key": _create_id_of_a_key,
    "use an idempotency key that another has used": _use_a_key,
    "ask again for one's own job": _ask_again,
    "ask for another's job as if it were one's own": _ask_for_anothers,
    "confirm one's own job": _change("confirmed", _own),
    "cancel one's own job": _change("canceled", _own),
    "confirm another service's job": _change("confirmed", _of_billing),
    "cancel another service's job": _change("canceled", _of_billing),
    "confirm a user's job": _change("confirmed", _of_a_user),
    "cancel a user's job": _change("canceled", _of_a_user),
    "confirm another service's job before it is there": _confirm_early,
    "speak for another by a header": _speak_for_another,
}


def test_every_column_of_the_table_is_tried() -> None:
    columns = {name for names in USERS.values() for name in names}
    assert {column for row in TABLE.values() for column in row} == columns
    assert OPERATIONS.keys() == TABLE.keys()


@pytest.mark.parametrize("unvouched", USERS)
async def test_on_the_bus_everyone_may_do_what_the_table_says_and_nothing_else(
    unvouched: str, mongo_url: str, database_name: str, tmp_path: Path
) -> None:
    async with Broker.open(mongo_url, database_name, tmp_path, unvouched=unvouched, bus_operators="ops") as broker:
        for column, user in USERS[unvouched].items():
            for name, operation in OPERATIONS.items():
                cell = TABLE[name][column]
                assert await operation(broker, user) == (cell == "yes"), (name, column)
