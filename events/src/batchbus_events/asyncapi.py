"""The AsyncAPI 3 document and the JSON Schemas, generated from the catalogue and the topology.

`python -m batchbus_events.asyncapi DIR` writes `asyncapi.json` and `schemas/*.json` into the folder;
with `--check` it only says what is out of date, and exits 1 if anything is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from batchbus_events import topics
from batchbus_events.catalog import EVENTS, TRIGGERS, EventType
from batchbus_events.event import MAX_ATTRIBUTE, MAX_BYTES, MAX_DEPTH, Json
from batchbus_events.ids import JOB_ID

__all__ = ["document", "json_schemas", "main"]

Schema = dict[str, Json]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_CONTENT_TYPE: Final = "application/cloudevents+json"


def json_schemas() -> dict[str, Schema]:
    """The JSON Schema of the envelope and of each event's data, by file name."""
    schemas = {"cloudevent.json": {"$schema": _DIALECT, "$id": "urn:batchbus:schema:cloudevent", **_envelope()}}
    for event_type in _all_types():
        schemas[f"{_name(event_type)}.{event_type.major}.{event_type.minor}.json"] = {
            "$schema": _DIALECT,
            "$id": event_type.dataschema,
            **_data(event_type),
        }
    return schemas


def document() -> Schema:
    """The AsyncAPI 3 document, from the point of view of batchbus: it receives triggers and sends events."""
    types = _all_types()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "batchbus",
            "version": "1.0.0",
            "description": (
                "Batch jobs on demand. Triggers come in on one exchange and facts go out on another. Every message is a "
                f"CloudEvent 1.0 in structured JSON, of at most {MAX_BYTES:,} bytes and {MAX_DEPTH} levels."
            ),
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": "trigger"}, {"name": "event"}],
        },
        "servers": {
            "rabbitmq": {
                "host": "localhost:5672",
                "protocol": "amqp",
                "description": "The RabbitMQ that BATCHBUS_AMQP_URL names, with its virtual host.",
            }
        },
        "defaultContentType": _CONTENT_TYPE,
        "channels": {_name(event_type): _channel(event_type) for event_type in types},
        "operations": {_name(event_type): _operation(event_type) for event_type in types},
        "components": {
            "messages": {_name(event_type): _message(event_type) for event_type in types},
            "schemas": {
                "cloudevent": _envelope(),
                **{_name(event_type): _data(event_type) for event_type in types},
                **{_type_name(event_type): _payload(event_type) for event_type in types},
            },
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m batchbus_events.asyncapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    parser.add_argument("folder", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    wanted = {folder / "asyncapi.json": document()}
    wanted |= {folder / "schemas" / name: schema for name, schema in json_schemas().items()}
    texts = {path: json.dumps(content, indent=2, ensure_ascii=False) + "\n" for path, content in wanted.items()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    stale += sorted(set((folder / "schemas").glob("*.json")) - texts.keys())
    if options.check:
        for path in stale:
            sys.stderr.write(f"{path} is out of date: run python -m batchbus_events.asyncapi {folder}\n")
        return 1 if stale else 0
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path in texts:
            path.write_text(texts[path])
        else:
            path.unlink()
    return 0


def _all_types() -> list[EventType]:
    return [*TRIGGERS.values(), *EVENTS.values()]


def _name(event_type: EventType) -> str:
    return f"{event_type.kind}.{event_type.name}"


def _type_name(event_type: EventType) -> str:
    """What generated code calls it, such as `BatchCreatedTrigger`: unlike the wire name it is one event's alone."""
    return "".join(word.capitalize() for word in re.split(r"[._]", event_type.name)) + event_type.kind.capitalize()


def _data(event_type: EventType) -> Schema:
    """What pydantic says of the model, but with a title of its own, and without the titles that pydantic makes up."""
    schema = event_type.model.model_json_schema()
    properties = {
        name: {key: value for key, value in found.items() if key != "title" or value != _made_up(name)}
        for name, found in schema["properties"].items()
    }
    return {**schema, "title": f"{_type_name(event_type)}Data", "properties": properties}


def _made_up(name: str) -> str:
    return name.replace("_", " ").title()


def _envelope() -> Schema:
    def text(description: str, **more: Json) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": MAX_ATTRIBUTE, "description": description, **more}

    def time(description: str) -> Schema:
        return {"type": "string", "format": "date-time", "description": description}

    properties: dict[str, Json] = {
        "specversion": {"const": "1.0"},
        "type": text("The wire name of the event."),
        "source": text("Who says it; source and id together name the event.", format="uri-reference"),
        "id": text("The event's id, one of its source's own."),
        "time": time("When it happened, UTC, to the millisecond."),
        "subject": text("The job's id."),
        "datacontenttype": {"type": "string", "default": "application/json"},
        "dataschema": text("The version of the data. Absent: 1.0.", format="uri"),
        "data": {"type": "object"},
        "sequence": {
            "type": "integer",
            "minimum": 1,
            "description": "Counts the lifecycle events of one job, without a gap.",
        },
        "causationid": text("The id of the event that caused this one."),
        "traceparent": text("The trace that it belongs to, as in W3C Trace Context."),
        "replayid": text("On an event that is published again: the replay that did it."),
        "replayedat": time("When that was."),
        "replayedby": text("On whose behalf."),
    }
    return {
        "title": "CloudEvent",
        "description": "CloudEvents 1.0 in structured JSON. Other extension attributes are kept.",
        "type": "object",
        "required": ["specversion", "type", "source", "id"],
        "properties": properties,
        "propertyNames": {"pattern": "^[a-z0-9]+$"},
        "additionalProperties": {"type": ["string", "integer", "boolean"]},
    }


def _payload(event_type: EventType) -> Schema:
    specific: Schema = {
        "type": "object",
        "properties": {
            "type": {"const": event_type.name},
            "dataschema": {"default": event_type.dataschema},
            "data": {"$ref": f"#/components/schemas/{_name(event_type)}"},
        },
        "required": ["subject", "sequence", "time", "data"] if event_type.in_sequence else [],
    }
    return {
        "title": _type_name(event_type),
        "type": "object",
        "allOf": [{"$ref": "#/components/schemas/cloudevent"}, specific],
    }


def _message(event_type: EventType) -> Schema:
    return {
        "name": event_type.name,
        "title": event_type.name,
        "summary": event_type.summary,
        "contentType": _CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{_type_name(event_type)}"},
    }


def _channel(event_type: EventType) -> Schema:
    exchange = topics.TRIGGERS if event_type.kind == "trigger" else topics.EVENTS
    channel: Schema = {
        "address": event_type.name,
        "messages": {event_type.name: {"$ref": f"#/components/messages/{_name(event_type)}"}},
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
                "bindingVersion": "0.3.0",
            }
        },
    }
    if event_type.kind == "event":
        channel["address"] = topics.routing_key(event_type.name, "{batchType}", "{jobId}")
        channel["parameters"] = _PARAMETERS
    return channel


_PARAMETERS: Final[Schema] = {
    "batchType": {"description": f"The batch type: {topics.BATCH_TYPE.pattern}"},
    "jobId": {"description": f"The job's id: {JOB_ID.pattern}"},
}


def _operation(event_type: EventType) -> Schema:
    channel = f"#/channels/{_name(event_type)}"
    return {
        "action": "receive" if event_type.kind == "trigger" else "send",
        "summary": event_type.summary,
        "description": (event_type.model.__doc__ or event_type.summary).strip(),
        "tags": [{"name": event_type.kind}],
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event_type.name}"}],
    }


if __name__ == "__main__":
    sys.exit(main())
