"""The generated contract: up to date, sound in itself, and true of what goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from batchbus_events.asyncapi import document, json_schemas, main
from batchbus_events.catalog import EVENTS, TRIGGERS
from batchbus_events.event import Event, Json, encode
from batchbus_events.ids import new_job_id

DOCS = Path(__file__).parents[2] / "docs"
JOB = new_job_id()


def test_the_committed_files_are_up_to_date() -> None:
    assert main(["--check", str(DOCS)]) == 0


def test_what_was_written_is_up_to_date_until_something_changes(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0

    (tmp_path / "schemas" / "cloudevent.json").write_text("{}")
    (tmp_path / "schemas" / "event.batch.gone.1.0.json").write_text("{}")
    assert main(["--check", str(tmp_path)]) == 1

    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0


def test_every_event_has_a_channel_an_operation_a_message_and_a_schema() -> None:
    described: dict[str, Any] = document()
    names = {f"trigger.{name}" for name in TRIGGERS} | {f"event.{name}" for name in EVENTS}

    assert described["asyncapi"] == "3.0.0"
    assert described["channels"].keys() == described["operations"].keys() == names
    assert described["components"]["messages"].keys() == names
    schemas = described["components"]["schemas"]
    assert names | {"cloudevent"} <= schemas.keys()
    payloads = [
        message["payload"]["$ref"].rpartition("/")[2] for message in described["components"]["messages"].values()
    ]
    assert len(set(payloads)) == len(names), "each has a payload of its own"
    assert schemas.keys() == names | {"cloudevent"} | set(payloads)


def test_every_payload_and_its_data_has_a_name_of_its_own_for_generated_code() -> None:
    described: dict[str, Any] = document()
    schemas: dict[str, Any] = described["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values()]
    assert len(set(titles)) == len(titles)
    assert all(title.isidentifier() for title in titles)
    assert {"BatchCreatedTrigger", "BatchCreatedTriggerData", "BatchCreatedEvent"} <= set(titles)
    assert "patternProperties" not in json.dumps(schemas), "generators of code read it wrongly"
    enums = [p for schema in schemas.values() for p in schema.get("properties", {}).values() if "enum" in p]
    assert {p["title"] for p in enums} == {"JobStatus", "JobPhase", "RejectionReason"}


def references(node: Json) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield str(node["$ref"])
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_reference_leads_somewhere() -> None:
    described = document()
    for reference in references(described):
        node: Any = described
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


@pytest.mark.parametrize("name", json_schemas())
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(json_schemas()[name])


COMMON: dict[str, Json] = {
    "id": JOB,
    "type": "product-import",
    "status": "processing",
    "dry_run": False,
    "created_by": None,
    "run": 1,
}
SAMPLES: list[tuple[str, str, dict[str, Json]]] = [
    ("trigger", "batch.created", {"type": "product-import"}),
    ("trigger", "batch.confirmed", {}),
    ("trigger", "batch.canceled", {"reason": "changed my mind"}),
    *(("event", name, COMMON) for name in EVENTS if name not in ("batch.failed", "batch.progress", "batch.rejected")),
    ("event", "batch.failed", {**COMMON, "error": "no such file", "strategy": "may add"}),
    (
        "event",
        "batch.progress",
        {"id": JOB, "type": "t", "phase": "process", "run": 1, "advancement_count": 3, "progress": 0.5},
    ),
    ("event", "batch.rejected", {"trigger": "batch.confirmed", "reason": "unknown_job", "message": "no such job"}),
]


def validate(kind: str, name: str, data: dict[str, Json], **attributes: Any) -> None:
    event = Event(
        type=name,
        source="batchbus",
        id="1",
        time=datetime.now(UTC),
        subject=JOB,
        sequence=1,
        data=data,
        extensions={"tenant": "north"},
        **attributes,
    )
    document_here = Registry().with_resource("urn:here", DRAFT202012.create_resource(document()))
    payload = {"$ref": f"urn:here#/components/messages/{kind}.{name}/payload"}
    Draft202012Validator(payload, registry=document_here).validate(json.loads(encode(event)))


@pytest.mark.parametrize(("kind", "name", "data"), SAMPLES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_event_on_the_wire_is_what_the_document_says(kind: str, name: str, data: dict[str, Json]) -> None:
    registry = TRIGGERS if kind == "trigger" else EVENTS
    registry[name].model.model_validate(data)

    validate(kind, name, data, dataschema=registry[name].dataschema)


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        ("trigger", "batch.created", {"type": "product-import", "dryRun": True}),
        ("trigger", "batch.created", {}),
        ("event", "batch.completed", {**COMMON, "id": "7"}),
        ("event", "batch.failed", COMMON),
    ],
)
def test_other_data_is_not(kind: str, name: str, data: dict[str, Json]) -> None:
    with pytest.raises(ValidationError):
        validate(kind, name, data)
