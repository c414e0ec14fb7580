"""Reading JSON bodies, and saying what is wrong with them in the words that Medusa's clients know."""

from __future__ import annotations

import math
from codecs import BOM_UTF8
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Annotated, Final

from fastapi import Depends, Request
from pydantic_core import from_json

from batchbus_service.access.emails import is_email
from batchbus_service.domain.bus_rules import UNVOUCHED
from batchbus_service.http.server.errors import ApiError, invalid
from batchbus_strategies import Json
from batchbus_strategies.json_values import MAX_DEPTH

__all__ = [
    "AnyBody",
    "Body",
    "CreateRequest",
    "JsonBody",
    "Login",
    "errors_in",
    "read_check_again",
    "read_create",
    "read_file_key",
    "read_grant",
    "read_login",
    "read_plan_digest",
    "refuse_compressed",
]

Body = dict[str, Json]

MAX_BYTES: Final = 100 * 1024
_MAX_DIGEST: Final = 128
_MAX_SERVICES: Final = 100
_MAX_NAME: Final = 255
_INT64: Final = range(-(2**63), 2**63)


async def _any_body(request: Request) -> Body | list[Json]:
    """The body, if it is JSON; no body, or one of another content type, counts as an empty object.

    What could not be stored or sent on is refused: NUL, integers beyond 64 bits, too much depth.
    """
    content_type = Message()
    content_type["content-type"] = request.headers.get("content-type", "")
    if content_type.get_content_type() != "application/json" or not request.headers.get("content-type"):
        return {}
    charset = str(content_type.get_param("charset") or "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise ApiError(415, "invalid_data", f'unsupported charset "{charset.upper()[:40]}"')
    refuse_compressed(request)
    text = bytearray()
    async for chunk in request.stream():
        text += chunk
        if len(text) > MAX_BYTES:
            raise ApiError(413, "invalid_data", f"the body is larger than {MAX_BYTES:,} bytes")
    if not text:
        return {}
    try:
        body: Json = from_json(bytes(text).removeprefix(BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise invalid(f"the body is not valid JSON: {error}") from None
    if not isinstance(body, dict | list):
        raise invalid("the body has to be a JSON object")
    if errors := errors_in(body):
        raise invalid(", ".join(errors))
    return body


async def _json_body(body: AnyBody) -> Body:
    if isinstance(body, list):
        raise invalid("an unknown value was passed to the validate function")
    return body


AnyBody = Annotated[Body | list[Json], Depends(_any_body)]
"""The body of a request that has no use for it."""
JsonBody = Annotated[Body, Depends(_json_body)]
"""The request's body. Declare it after who asks, so that a stranger learns nothing about what they sent."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """The body of `POST /admin/batch-jobs`."""

    type: str
    context: Body
    dry_run: bool | None
    """None can only be refused, but not before the type is known: that is how Medusa's database does it."""


@dataclass(frozen=True, slots=True)
class Login:
    """The body of `POST /admin/auth` and `POST /admin/auth/token`."""

    email: str
    password: str


def read_create(body: Body) -> CreateRequest:
    """Raises `ApiError` with everything that is wrong."""
    errors = _unknown(body, ("type", "context", "dry_run"))
    type_, context, dry_run = body.get("type"), body.get("context"), body.get("dry_run", False)
    if not isinstance(type_, str):
        errors.append("type must be a string")
    if not isinstance(context, dict):
        errors.append("context must be an object")
    if not isinstance(dry_run, bool | None):
        errors.append("dry_run must be a boolean value")
    if errors:
        raise invalid(", ".join(errors))
    assert isinstance(type_, str) and isinstance(context, dict) and isinstance(dry_run, bool | None)
    return CreateRequest(type_, _without_prototype(context), dry_run)


def refuse_compressed(request: Request) -> None:
    """Nothing inflates the body of a request, which a few kilobytes could fill the memory with. Raises `ApiError`."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(415, "invalid_data", "a compressed body is not supported")


def read_login(body: Body) -> Login:
    """Raises `ApiError` with everything that is wrong."""
    errors = _unknown(body, ("email", "password"))
    email, password = body.get("email"), body.get("password")
    if email in (None, ""):
        errors.append("email should not be empty")
    if not isinstance(email, str) or not is_email(email):
        errors.append("email must be an email")
    if password in (None, ""):
        errors.append("password should not be empty")
    if not isinstance(password, str):
        errors.append("password must be a string")
    if errors:
        raise invalid(", ".join(errors))
    assert isinstance(email, str) and isinstance(password, str)
    return Login(email, password)


def read_plan_digest(body: Body | list[Json]) -> str | None:
    """The `plan_digest` of a confirmation; None without one, as Medusa's clients send it. Raises `ApiError`."""
    digest = body.get("plan_digest") if isinstance(body, dict) else None
    if digest is None:
        return None
    if not isinstance(digest, str) or not 1 <= len(digest) <= _MAX_DIGEST:
        raise invalid(f"plan_digest must be a string of 1 to {_MAX_DIGEST} characters")
    return digest


def read_check_again(body: Body) -> str | None:
    """The `fileKey` of a request to check a job again; None for the file that it has. Raises `ApiError`."""
    errors = _unknown(body, ("fileKey",))
    key = body.get("fileKey")
    if not isinstance(key, str | None):
        errors.append("fileKey must be a string")
    if errors:
        raise invalid(", ".join(errors))
    return key if isinstance(key, str) else None


def read_file_key(body: Body) -> str:
    """The `file_key` of a request about an uploaded file. Raises `ApiError`."""
    errors = _unknown(body, ("file_key",))
    key = body.get("file_key")
    if not isinstance(key, str):
        raise invalid(", ".join([*errors, "file_key must be a string"]))
    if errors:
        raise invalid(", ".join(errors))
    return key


def read_grant(body: Body) -> tuple[str, list[str]]:
    """The `file_key` and the `services` that may read the file. Raises `ApiError`."""
    errors = _unknown(body, ("file_key", "services"))
    key, services = body.get("file_key"), body.get("services")
    if not isinstance(key, str):
        errors.append("file_key must be a string")
    if not isinstance(services, list) or len(services) > _MAX_SERVICES:
        errors.append(f"services must be a list of at most {_MAX_SERVICES} names")
        services = []
    names = [name for name in services if isinstance(name, str) and 0 < len(name) <= _MAX_NAME]
    if len(names) < len(services):
        errors.append(f"each of services must be a name of 1 to {_MAX_NAME} characters")
    if any(name.startswith(UNVOUCHED) for name in names):
        errors.append("services must be names of the broker's users; others read public files alone")
    if errors or not isinstance(key, str):
        raise invalid(", ".join(errors))
    return key, names


def errors_in(value: Json, path: str = "", depth: int = 1) -> list[str]:
    """What in a JSON value could not be stored or sent on, each fault with its path."""
    where = path or "the body"
    match value:
        case dict() | list() if depth > MAX_DEPTH:
            return [f"{where} is nested deeper than {MAX_DEPTH} levels"]
        case dict():
            errors = [f"{where} has a NUL in a key" for key in value if "\0" in key]
            return errors + [
                error for key, item in value.items() for error in errors_in(item, _below(path, key), depth + 1)
            ]
        case list():
            return [error for n, item in enumerate(value) for error in errors_in(item, _below(path, str(n)), depth + 1)]
        case str() if "\0" in value:
            return [f"{where} has a NUL in it"]
        case int() if value not in _INT64:
            return [f"{where} is an integer beyond 64 bits"]
        case float() if not math.isfinite(value):
            return [f"{where} is no finite number"]
        case _:
            return []


def _below(path: str, key: str) -> str:
    shown = key if key.isprintable() else ascii(key)[1:-1]
    return f"{path}.{shown[:64]}" if path else shown[:64]


def _unknown(body: Mapping[str, Json], known: Collection[str]) -> list[str]:
    return [f"property {name[:100]} should not exist" for name in body if name not in known]


def _without_prototype(context: Body) -> Body:
    """JavaScript clients send `__proto__` by accident or by malice; Medusa leaves it out, at every depth."""

    def cleaned(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: cleaned(item) for key, item in value.items() if key != "__proto__"}
        return [cleaned(item) for item in value] if isinstance(value, list) else value

    return {key: cleaned(item) for key, item in context.items() if key != "__proto__"}
