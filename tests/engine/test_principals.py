"""Who asks on the bus, and what they may do: their own jobs, their own keys, their own ids."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from batchbus_events import topics
from batchbus_events.bus import PRINCIPAL, USER_ID, Message
from batchbus_events.catalog import CreateBatch
from batchbus_events.event import encode
from batchbus_events.ids import derived_job_id, new_job_id
from batchbus_service.domain.bus_rules import BusRules, covers
from batchbus_service.domain.job import Job, Status
from batchbus_service.domain.lifecycle import Cause, NewJob
from batchbus_service.domain.requests import from_bus, from_user
from batchbus_service.domain.settings import Settings
from batchbus_service.operations.parked.delivered import parked_as
from batchbus_strategies import Draft
from tests.engine.broker import Broker, trigger

Opened = Callable[..., Any]


@pytest.fixture
async def opened(mongo_url: str, database_name: str, tmp_path: Path) -> AsyncIterator[Opened]:
    async with AsyncExitStack() as stack:

        async def open_broker(**settings: object) -> Broker:
            return await stack.enter_async_context(Broker.open(mongo_url, database_name, tmp_path, **settings))

        yield open_broker


@pytest.fixture
async def broker(opened: Opened) -> Broker:
    made: Broker = await opened(bus_operators="ops,night-*")
    return made


# -- jobs ------------------------------------------------------------------------------------------------------------


async def test_a_principal_changes_its_own_jobs_and_no_others(broker: Broker) -> None:
    owners = ("shop", None)
    strangers: tuple[str | None, ...] = ("billing", "batchbus", "shop", None)
    for owner in owners:
        for stranger in strangers:
            job_id = await broker.created(owner)
            if stranger == owner:
                continue
            for word in ("confirmed", "canceled"):
                assert await broker.publish(stranger, trigger(word, job_id)) == "not_allowed", (owner, stranger, word)
            assert (await broker.job(job_id)).status is Status.PRE_PROCESSED
        job_id = await broker.created(owner)
        assert await broker.publish(owner, trigger("confirmed", job_id)) is None
        await broker.until(job_id, Status.COMPLETED)
        job_id = await broker.created(owner)
        assert await broker.publish(owner, trigger("canceled", job_id)) is None
        assert (await broker.job(job_id)).status is Status.CANCELED


async def test_a_source_that_nobody_vouches_for_is_no_other_source(broker: Broker) -> None:
    job_id = await broker.created(None)
    assert await broker.publish(None, trigger("canceled", job_id, source="billing")) == "not_allowed"


async def test_those_whom_the_settings_name_change_everyones_jobs(broker: Broker) -> None:
    for operator in ("ops", "night-shift"):
        for job_id in (await broker.created("shop"), await broker.created(None), await broker.created_over_http()):
            assert await broker.publish(operator, trigger("canceled", job_id)) is None
            assert (await broker.job(job_id)).status is Status.CANCELED
    for stranger in ("operations", "night", None):
        assert await broker.publish(stranger, trigger("canceled", await broker.created_over_http())) == "not_allowed"


async def test_a_trigger_says_who_published_it_and_not_who_it_claims_to_be(broker: Broker) -> None:
    job_id = await broker.created("billing")
    assert await broker.publish("billing", trigger("canceled", job_id, source="shop")) is None
    history = (await broker.job(job_id)).history
    assert {entry.data.get("by") for entry in history if entry.causationid} == {"bus:billing"}
    for user, name in (("billing", "bus:billing"), (None, "bus:unvouched:shop")):
        job_id = new_job_id()
        await broker.publish(user, trigger("created", job_id, type="noop"))
        job = await broker.job(job_id)
        assert job.created_by == job.history[0].data["by"] == name


async def test_what_comes_before_its_job_is_carried_out_for_its_owner_alone(broker: Broker) -> None:
    job_id = new_job_id()
    strangers = [("billing", trigger("confirmed", job_id)), (None, trigger("canceled", job_id))]
    owners = trigger("confirmed", job_id)
    for user, event in (*strangers, ("shop", owners)):
        assert await broker.publish(user, event) is None
    assert await broker.publish("shop", trigger("created", job_id, type="noop", dry_run=True)) is None
    assert [broker.rejection(event) for _, event in strangers] == ["not_allowed"] * 2
    await broker.until(job_id, Status.COMPLETED)


async def test_nobody_makes_anothers_trigger_a_repetition_by_sending_its_id_first(broker: Broker) -> None:
    job_id = new_job_id()
    confirmed = trigger("confirmed", job_id)
    assert await broker.publish("billing", confirmed) is None
    assert await broker.publish("shop", confirmed) is None
    await broker.publish("shop", trigger("created", job_id, type="noop", dry_run=True))
    await broker.until(job_id, Status.COMPLETED)


# -- how many ----------------------------------------------------------------------------------------------------------


async def test_a_principal_may_have_so_many_jobs_that_have_not_ended(opened: Opened) -> None:
    broker: Broker = await opened(max_unfinished_jobs=2)

    async def create(user: str | None, **more: str) -> str | None:
        return await broker.publish(user, trigger("created", new_job_id(), type="noop", dry_run=True, **more))

    assert [await create("shop") for _ in range(3)] == [None, None, "too_many_jobs"]
    assert await create("billing") is None
    # A publisher that is not vouched for chooses its source itself, and gets no more jobs by choosing another.
    assert [await create(None, source=source) for source in ("a", "b", "c")] == [None, None, "too_many_jobs"]


async def test_a_request_that_is_delivered_again_is_no_job_more(opened: Opened) -> None:
    broker: Broker = await opened(max_unfinished_jobs=1)
    first = trigger("created", new_job_id(), type="noop", dry_run=True)
    second = trigger("created", new_job_id(), type="noop", dry_run=True)
    assert [await broker.publish("shop", event) for event in (first, second, first)] == [None, "too_many_jobs", None]


async def test_where_everyone_is_believed_nobody_is_counted(opened: Opened) -> None:
    broker: Broker = await opened(max_unfinished_jobs=1, unvouched="trusted")
    made = [trigger("created", new_job_id(), type="noop", dry_run=True) for _ in range(3)]
    assert [await broker.publish(None, event) for event in made] == [None] * 3


# -- keys and ids ------------------------------------------------------------------------------------------------------


async def test_idempotency_keys_belong_to_their_principal(broker: Broker) -> None:
    for user, source in (("billing", "shop"), (None, "shop"), (None, "billing"), ("shop", "anything")):
        event = trigger("created", None, source=source, type="noop", idempotency_key="monday")
        assert await broker.publish(user, event) is None
    assert derived_job_id("bus-key", "shop", "monday") in broker.created_ids, "the id that the client of shop has"
    assert len(broker.created_ids) == 4


async def test_an_event_id_that_another_has_used_first_makes_a_job_of_ones_own(broker: Broker) -> None:
    order = trigger("created", None, id="order-4711", type="noop", dry_run=True)
    for _ in range(2):  # each is delivered twice
        for user in ("billing", "shop", None):
            assert await broker.publish(user, order) is None
    assert len(broker.created_ids) == 3
    owners = [(await broker.job(job_id)).principal for job_id in broker.created_ids]
    assert sorted(map(str, owners)) == ["billing", "shop", "unvouched:shop"]


async def test_nobody_takes_the_key_of_another_by_naming_its_id(broker: Broker) -> None:
    taken = derived_job_id("user-key", "usr_ann", "monday"), derived_job_id("bus-key", "shop", "monday")
    for job_id in taken:
        assert await broker.publish("billing", trigger("created", job_id, type="noop")) == "not_allowed"
        assert "new_job_id" in str(broker.bus.events[-1].data["message"])
        assert await broker.publish("ops", trigger("created", job_id, type="noop")) is None


async def test_a_job_that_is_there_is_not_taken_over_by_the_same_request_of_another(broker: Broker) -> None:
    job_id = await broker.created("shop", created_by="shop")
    again = trigger("created", job_id, type="noop", dry_run=True, created_by="shop")
    assert await broker.publish("shop", again) is None
    assert await broker.publish("billing", again) == "conflict"


# -- how much is believed ------------------------------------------------------------------------------------------------


async def test_who_is_not_vouched_for_can_be_refused(opened: Opened) -> None:
    broker = await opened(unvouched="refuse", bus_operators="*")
    assert await broker.publish(None, trigger("created", new_job_id(), type="noop")) == "not_allowed"
    assert "user_id" in str(broker.bus.events[-1].data["message"])
    assert await broker.publish(None, trigger("canceled", await broker.created("shop"))) == "not_allowed"


async def test_who_is_not_vouched_for_can_be_trusted(opened: Opened) -> None:
    broker = await opened(unvouched="trusted")
    for job_id in (await broker.created("shop"), await broker.created_over_http()):
        assert await broker.publish(None, trigger("canceled", job_id)) is None
    key = trigger("created", None, type="noop", idempotency_key="monday")
    assert await broker.publish(None, key) is None
    assert derived_job_id("bus-key", "shop", "monday") in broker.created_ids
    assert await broker.publish("billing", trigger("canceled", await broker.created("shop"))) == "not_allowed"


async def test_a_star_names_everyone(opened: Opened) -> None:
    broker = await opened(bus_operators="*")
    for user in ("billing", None):
        assert await broker.publish(user, trigger("canceled", await broker.created_over_http())) is None


async def test_a_principal_in_a_header_is_believed_from_the_service_alone(broker: Broker) -> None:
    job_id = await broker.created("shop")
    header = {PRINCIPAL: "/users/usr_olga"}
    for forger in ("billing", None):
        assert await broker.publish(forger, trigger("canceled", job_id), **header) == "not_allowed"
    assert await broker.publish("batchbus", trigger("canceled", job_id, source="/users/usr_olga"), **header) is None
    canceled = (await broker.job(job_id)).history[-1]
    assert canceled.data["by"] == "bus:/users/usr_olga"


async def test_what_was_held_or_parked_is_still_its_publishers(broker: Broker) -> None:
    job_id = await broker.created("shop")
    for user in ("billing", None):
        event = trigger("canceled", job_id)
        message = Message(body=encode(event), routing_key=event.type, message_id=event.id, user_id=user)
        forged = replace(message, headers={USER_ID: "shop", PRINCIPAL: "/users/usr_olga"})
        for each in (message, forged):
            parked = parked_as(each, "batchbus", datetime.now(UTC)).message(each.body)
            for forwarded in (each, each.held(datetime.now(UTC)), parked):
                await broker.bus.publish("", forwarded.addressed(topics.TRIGGERS_QUEUE.name), mandatory=True)
                assert broker.rejection(event) == "not_allowed"
                broker.bus.events.clear()
    assert (await broker.job(job_id)).status is Status.PRE_PROCESSED


def test_a_user_of_the_broker_cannot_be_called_like_another_kind_of_principal() -> None:
    rules = BusRules()
    for name in ("unvouched:shop", "/users/usr_olga", "vouched:shop"):
        principal = rules.principal(user=name, named=None, source="shop")
        assert principal == f"vouched:{name}"
        assert not rules.operates(principal)


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("shop", ["shop"], ["shops", "unvouched:shop", ""]),
        ("*", ["", "shop", "unvouched:shop"], []),
        ("shop-*", ["shop-", "shop-1"], ["shop", "ashop-1"]),
        ("a*b*c", ["abc", "axbxc", "abbc"], ["ac", "ab", "abcd"]),
        ("ab*ba", ["abba", "abxba"], ["aba"]),
        ("feeds/*.csv", ["feeds/.csv", "feeds/x/y.csv"], ["feeds/x.csv.gz"]),
    ],
)
def test_patterns_of_names(pattern: str, names: list[str], others: list[str]) -> None:
    assert [name for name in (*names, *others) if covers(pattern, name)] == names


def test_files_are_granted_by_names_and_patterns() -> None:
    settings = Settings.model_validate({"bus_files": "shop=feeds/*, billing = invoices/*.csv, shop=one.csv"})
    assert settings.bus_files == {"shop": ["feeds/*", "one.csv"], "billing": ["invoices/*.csv"]}
    rules = BusRules(files={**settings.bus_files, "unvouched:old": ["old/*"], "*": ["all/*"]})
    granted = {
        "shop": ["feeds/a/b.csv", "one.csv", "all/x"],
        "billing": ["invoices/7.csv", "all/x"],
        "unvouched:old": ["old/x"],
        "unvouched:shop": [],
    }
    keys = sorted({key for found in granted.values() for key in found})
    for principal, expected in granted.items():
        assert [key for key in keys if rules.grants(principal, key)] == sorted(expected), principal
    for wrong in ("feeds/*", "shop=", "=feeds/*", "shop"):
        with pytest.raises(ValidationError, match="names of services"):
            Settings.model_validate({"bus_files": wrong})


# -- what was there before principals were kept ------------------------------------------------------------------------


def _request(user: str | None, principal: str | None, *, key: str | None = None, named: bool = False) -> Any:
    job_id = "batch_01HZZZZZZZZZZZZZZZZZZZZZZZ" if named else None
    asked = CreateBatch(
        job_id=job_id, type="noop", context={"n": 1}, dry_run=True, created_by=None, idempotency_key=key
    )
    return from_bus(trigger("created", job_id, id="order-4711", type="noop"), asked, user, principal)


def test_ids_and_digests_of_requests_are_what_they_were() -> None:
    digest = "012d87fcee67abd72c81d02c894a3ff3eb880f3b785b61ead093dd94651e6e04"
    for user, principal in (("shop", "shop"), (None, None), (None, "unvouched:shop")):
        event, named = _request(user, principal), _request(user, principal, named=True)
        assert event.job.id == "batch_50HACEC5PT88C5RMT4ERCDMYD9"
        assert named.job.id == "batch_01HZZZZZZZZZZZZZZZZZZZZZZZ"
        assert event.job.request_digest == named.job.request_digest == digest
    keyed = _request("shop", "shop", key="monday").job.id
    assert (
        keyed == _request(None, None, key="monday").job.id == _request(None, "unvouched:shop", key="monday").earlier_id
    )
    assert keyed == "batch_02778D4VJ21ZVHW47NDZDKZ3XF"
    over_http = from_user(Draft("noop", {}, False), Draft("noop", {}, False), "usr_ann", "monday")
    assert (over_http.id, over_http.request_digest) == (
        "batch_4GP5PK4KPXXSE9V15GCJK7MQ1Y",
        "589d6250f09668a5ae4a39c7458fe83cab8e7c8a9e1a5327e34e6ea9c5d46b72",
    )


async def test_a_trigger_that_is_delivered_again_after_the_upgrade_makes_no_second_job(broker: Broker) -> None:
    for user, by, label in product(("shop", None), ("key", "subject", "event"), (None, "Ann")):
        case = (user, by, label)
        data: dict[str, Any] = {"type": "noop", "dry_run": True}
        data |= {"idempotency_key": f"monday {label}"} if by == "key" else {}
        data |= {"created_by": label} if label else {}
        source = f"{user or 'nobody'}-{by}"
        created = trigger("created", new_job_id() if by == "subject" else None, source=source, **data)
        before = await _as_before(broker, created, user, label)
        assert await broker.publish(user, created) is None, case
        assert not broker.created_ids, case
        confirmed = trigger("confirmed", before.id, source=source)
        if user and label:  # what asked for it is not known any more: an operator may
            assert await broker.publish(user, confirmed) == "not_allowed", case
        else:
            assert await broker.publish(user, confirmed) is None, case
            await broker.until(before.id, Status.COMPLETED)


async def test_a_confirmation_that_is_delivered_again_after_the_upgrade_is_known(broker: Broker) -> None:
    created, confirmed = trigger("created", new_job_id(), type="noop", dry_run=True), "c1"
    job = await _as_before(broker, created, "shop", None, triggers=f"shop {confirmed}")
    assert await broker.publish("shop", trigger("confirmed", job.id, id=confirmed)) is None
    assert (await broker.job(job.id)).status is Status.PRE_PROCESSED, "it was carried out, by an earlier version"
    assert await broker.publish("shop", trigger("confirmed", job.id, id="c2")) is None
    await broker.until(job.id, Status.COMPLETED)


async def test_triggers_that_an_earlier_version_has_kept_are_carried_out_for_their_sender(broker: Broker) -> None:
    for owner in ("shop", None):
        job_id = new_job_id()
        for sender in ("billing", "shop"):
            event = trigger("confirmed", job_id, source=sender)
            await broker.publish(sender, event)
        await _forget_principals(broker, job_id)
        assert await broker.publish(owner, trigger("created", job_id, type="noop", dry_run=True)) is None
        await broker.until(job_id, Status.COMPLETED)
        rejected = [event for event in broker.bus.events if event.type == "batch.rejected"]
        assert len(rejected) == 1
        broker.bus.events.clear()


async def _as_before(broker: Broker, created: Any, user: str | None, label: str | None, *, triggers: str = "") -> Job:
    """The job that a version without principals made of the trigger, which waits to be confirmed."""
    asked = CreateBatch(
        job_id=created.subject,
        type="noop",
        context={},
        dry_run=True,
        created_by=label,
        idempotency_key=created.data.get("idempotency_key"),
    )
    made = from_bus(created, asked, user, None).job
    cause = Cause(event_id=created.id, source=created.source, by=f"bus:{created.source}")
    transitions = broker.service.transitions
    decider, now = transitions.decider, transitions.clock.now()
    job = decider.claim(decider.create(NewJob(**_fields(made)), now, cause), "gone", now)
    job = decider.pre_processed(job, now, Cause(), go_on=False)
    job = replace(job, triggers=(*job.triggers, triggers) if triggers else job.triggers, published=len(job.history))
    await broker.service.stores.jobs.insert(job)
    return job


def _fields(request: NewJob) -> dict[str, Any]:
    return {name: getattr(request, name) for name in NewJob.__slots__ if name != "principal"}


async def _forget_principals(broker: Broker, job_id: str) -> None:
    """Have the triggers that wait look as they did before principals were kept."""
    placeholder = await broker.service.stores.jobs.placeholder(job_id)
    assert placeholder is not None
    await broker.service.stores.jobs.drop_placeholder(placeholder)
    for kept in placeholder.triggers:
        old = replace(kept, cause=replace(kept.cause, principal=None), sender=kept.cause.source or "")
        await broker.service.stores.jobs.keep_early(job_id, old, placeholder.wake_at)
