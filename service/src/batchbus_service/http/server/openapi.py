"""The OpenAPI document: how routes describe their answers and bodies, and what holds for many of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from batchbus_service.http.medusa.schemas import Refusal
from batchbus_service.http.server.callers import SESSION_COOKIE, TOKEN_HEADER
from batchbus_strategies.strategy import Document

__all__ = [
    "Described",
    "answers",
    "answers_with_events",
    "describe",
    "may_take",
    "operation_id",
    "takes",
    "takes_files",
]

Described = Document
"""A part of the document."""

_REF: Final = "#/components/schemas/{model}"
_CREDENTIALS: Final[Mapping[str, Described]] = {
    "apiToken": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER},
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
}
_UNAUTHORIZED: Final[Described] = {
    "description": "The request has no valid credentials",
    "content": {"text/plain": {"schema": {"type": "string", "const": "Unauthorized"}}},
}
_PHRASES: Final = {413: "Content Too Large", 416: "Range Not Satisfiable"}
"""As RFC 9110 has them. Python says so from 3.13 on, and the document is the same for every version."""
_EVERYWHERE: Final = (400,)
_TO_CALLERS: Final = (503,)
_TO_KNOWN_CALLERS: Final = (403, 404)
_TO_BODIES: Final = (408, 413, 415)
_TAGS: Final[Mapping[str, str]] = {
    "auth": "Signing in and out, and one's own sessions, tokens and password.",
    "oidc": "Signing in through a provider of OpenID Connect.",
    "users": "Who may use the service, and what they did.",
    "tokens": "API tokens: who has one, and for what.",
    "batch jobs": "Jobs: made, confirmed, canceled, looked at.",
    "uploads": "Files for jobs, and from them.",
    "batch types": "What kinds of jobs there are, and what they take.",
    "events": "What happens, as it happens and as it happened.",
    "replays": "Past events, published again.",
    "parked messages": "Messages that could not be used.",
    "health": "Whether the service lives and can work, and what it measures.",
}
"""What each tag of a route is about."""
_SERVERS: Final = ({"url": "/", "description": "The service that this document comes from."},)
_LICENSE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
_SIGNING_IN: Final = (("post", "/admin/auth"), ("post", "/admin/auth/token"))


def answers(
    model: type[BaseModel] | None = None,
    status: int = 200,
    *,
    media: str | Sequence[str] = (),
    refusals: tuple[int, ...] = (),
) -> dict[int | str, Described]:
    """For `responses=` of a route: what it answers, and how it refuses beyond what routes like it do.

    `media`: the content type of an answer that is not JSON, or those that it may have.
    """
    described: Described = {"description": _phrase(status)}
    if model is not None:
        described["model"] = model
    elif media:
        kinds = (media,) if isinstance(media, str) else media
        described["content"] = {kind: {"schema": {"type": "string"}} for kind in kinds}
    return {status: described, **{refusal: _refusal(refusal) for refusal in refusals}}


def answers_with_events() -> dict[int | str, Described]:
    """The same for a stream of server-sent events; the schema is that of one of them."""
    fields = {
        "event": {"type": "string", "examples": ["batch.completed"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string"},
        "retry": {"type": "integer"},
    }
    schema = {"type": "object", "properties": fields}
    return {200: {"description": "Events, as they happen", "content": {"text/event-stream": {"schema": schema}}}}


def takes(model: type[BaseModel]) -> Described:
    """For `openapi_extra=` of a route that reads a JSON body by itself."""
    return _body("application/json", model.model_json_schema(ref_template=_REF))


def may_take(model: type[BaseModel]) -> Described:
    """As `takes`, for a route that does without a body, too."""
    described = takes(model)
    described["requestBody"]["required"] = False
    return described


def takes_files() -> Described:
    """For `openapi_extra=` of a route that reads a form with any number of files."""
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    return _body("multipart/form-data", {"type": "object", "properties": {"files": files}})


def operation_id(route: APIRoute) -> str:
    """Such as `batch_jobs_confirm`."""
    return "_".join([*map(str, route.tags[:1]), route.name]).replace(" ", "_")


def describe(app: FastAPI) -> None:
    """Complete the document that the framework makes of the routes."""

    def document() -> Described:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = _completed(deepcopy(made))
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the framework's own way to do this


def _completed(document: Described) -> Described:
    schemas = document["components"]["schemas"]
    for framework_s_own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(framework_s_own, None)
    schemas["Refusal"] = Refusal.model_json_schema()
    document["components"]["securitySchemes"] = dict(_CREDENTIALS)
    document["info"]["license"] = dict(_LICENSE)
    document["servers"] = [dict(server) for server in _SERVERS]
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS.items()]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(method, path, operation)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schemas.update(content["schema"].pop("$defs", {}))
    return document


def _complete(method: str, path: str, operation: Described) -> None:
    responses: Described = operation["responses"]
    responses.pop("422", None)  # parameters are refused with 400 here
    refusals: tuple[int, ...] = _EVERYWHERE
    if path.startswith("/admin"):
        refusals += _TO_CALLERS
        responses["401"] = _UNAUTHORIZED
        if (method, path) not in _SIGNING_IN:
            refusals += _TO_KNOWN_CALLERS
            operation["security"] = [{name: []} for name in _CREDENTIALS]
    operation.setdefault("security", [])  # said of public routes too, as their readers cannot know otherwise
    if "requestBody" in operation:
        refusals += _TO_BODIES
    for status in refusals:
        responses.setdefault(str(status), _refusal(status))


def _phrase(status: int) -> str:
    return _PHRASES.get(status) or HTTPStatus(status).phrase


def _refusal(status: int) -> Described:
    content = {"application/json": {"schema": {"$ref": _REF.format(model="Refusal")}}}
    return {"description": _phrase(status), "content": content}


def _body(media: str, schema: Described) -> Described:
    return {"requestBody": {"required": True, "content": {media: {"schema": schema}}}}
