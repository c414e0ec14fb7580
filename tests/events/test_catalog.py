"""Triggers as they are read, and which job each asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from batchbus_events.catalog import (
    EVENTS,
    TRIGGERS,
    CancelBatch,
    ConfirmBatch,
    CreateBatch,
    parse_trigger,
    requested_job_id,
)
from batchbus_events.event import Event, InvalidEvent, NewerSchema

JOB = "batch_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def trigger(
    event_type: str, data: Mapping[str, Any], subject: str | None = JOB, dataschema: str | None = None
) -> Event:
    return Event(type=event_type, source="shop", id="1", subject=subject, data=data, dataschema=dataschema)


def codes(event: Event) -> dict[str, str]:
    with pytest.raises(InvalidEvent) as raised:
        parse_trigger(event)
    return {error.path: error.code for error in raised.value.errors}


def created(job_id: str | None = None, key: str | None = None) -> CreateBatch:
    return CreateBatch(job_id=job_id, type="t", context={}, dry_run=False, created_by=None, idempotency_key=key)


def test_a_job_takes_no_more_than_its_type() -> None:
    assert parse_trigger(trigger("batch.created", {"type": "product-import"}, subject=None)) == CreateBatch(
        job_id=None, type="product-import", context={}, dry_run=False, created_by=None, idempotency_key=None
    )


def test_everything_that_can_be_asked_for() -> None:
    data = {
        "type": "product-import",
        "context": {"fileKey": "a.csv", "shape": {"rows": [1, None, 2.5]}},
        "dry_run": True,
        "created_by": "ada",
        "idempotency_key": "k",
    }

    assert parse_trigger(trigger("batch.created", data)) == CreateBatch(
        job_id=JOB,
        type="product-import",
        context={"fileKey": "a.csv", "shape": {"rows": [1, None, 2.5]}},
        dry_run=True,
        created_by="ada",
        idempotency_key="k",
    )


@pytest.mark.parametrize(
    ("event_type", "request_type"), [("batch.confirmed", ConfirmBatch), ("batch.canceled", CancelBatch)]
)
def test_a_confirmation_or_cancellation_names_the_job_and_perhaps_a_reason(
    event_type: str, request_type: type[ConfirmBatch | CancelBatch]
) -> None:
    assert parse_trigger(trigger(event_type, {})) == request_type(job_id=JOB, reason=None)
    assert parse_trigger(trigger(event_type, {"reason": "why"})) == request_type(job_id=JOB, reason="why")
    assert parse_trigger(trigger(event_type, {}, dataschema=TRIGGERS[event_type].schema_for({}))) == request_type(
        job_id=JOB, reason=None
    )
    assert codes(trigger(event_type, {}, subject=None)) == {"subject": "missing"}


def test_a_confirmation_may_name_the_plan_that_it_is_for() -> None:
    named = trigger("batch.confirmed", {"plan_digest": "d" * 64})
    assert parse_trigger(named) == ConfirmBatch(job_id=JOB, reason=None, plan_digest="d" * 64)
    assert codes(trigger("batch.confirmed", {"plan_digest": ""})) == {"data.plan_digest": "string_too_short"}
    assert codes(trigger("batch.canceled", {"plan_digest": "d"})) == {"data.plan_digest": "extra_forbidden"}


def test_a_trigger_says_that_it_is_of_a_newer_version_only_if_it_has_a_field_of_that() -> None:
    confirmed = TRIGGERS["batch.confirmed"]
    assert confirmed.schema_for({"reason": "why"}).endswith("batch.confirmed:1.0")
    assert confirmed.schema_for({"plan_digest": "d"}).endswith("batch.confirmed:1.1")


def test_every_fault_of_a_trigger_is_named() -> None:
    data = {"type": "Product.Import", "context": [], "dry_run": "yes", "dryRun": True, "idempotency_key": ""}

    assert codes(trigger("batch.created", data, subject="my job")) == {
        "subject": "bad_job_id",
        "data.type": "string_pattern_mismatch",
        "data.context": "dict_type",
        "data.dry_run": "bool_type",
        "data.dryRun": "extra_forbidden",
        "data.idempotency_key": "string_too_short",
    }


@pytest.mark.parametrize("batch_type", ["", "a.b", "-a", "A", "a" * 64, "a b", "ä", "a\n", None, 1])
def test_a_batch_type_is_one_word_of_a_routing_key(batch_type: object) -> None:
    assert "data.type" in codes(trigger("batch.created", {"type": batch_type}))


@pytest.mark.parametrize(
    "subject", ["1", JOB.lower(), JOB + "0", JOB[:-1], JOB[:-1] + "U", "job_" + JOB[6:], JOB + "\n"]
)
def test_a_subject_of_another_form_is_no_job_id(subject: str) -> None:
    assert codes(trigger("batch.canceled", {}, subject=subject)) == {"subject": "bad_job_id"}


@pytest.mark.parametrize("event_type", ["batch.completed", "batch.progress", "order.placed"])
def test_nothing_else_is_a_trigger(event_type: str) -> None:
    assert codes(trigger(event_type, {})) == {"type": "unknown_type"}


def test_a_trigger_of_a_newer_minor_version_is_held_and_one_of_a_newer_major_version_refused() -> None:
    with pytest.raises(NewerSchema):
        parse_trigger(trigger("batch.created", {}, dataschema="urn:batchbus:schema:trigger:batch.created:1.2"))

    assert codes(trigger("batch.created", {}, dataschema="urn:batchbus:schema:trigger:batch.created:2.0")) == {
        "dataschema": "unknown_schema"
    }


def test_the_key_names_the_job_before_the_subject_and_the_subject_before_the_event() -> None:
    event = trigger("batch.created", {})
    by_key = requested_job_id(event, created(JOB, "key"), None)

    assert by_key == requested_job_id(event, created(None, "key"), None) != JOB
    assert by_key != requested_job_id(event, created(JOB, "key"), "another publisher")
    assert requested_job_id(event, created(JOB), None) == JOB
    assert requested_job_id(event, created(), None) == requested_job_id(event, created(), "whoever")


def test_every_event_type_names_its_schema() -> None:
    assert TRIGGERS["batch.created"].dataschema == "urn:batchbus:schema:trigger:batch.created:1.1"
    assert EVENTS["batch.created"].dataschema == "urn:batchbus:schema:event:batch.created:1.0"
    assert {name for name, known in EVENTS.items() if not known.in_sequence} == {"batch.progress", "batch.rejected"}
