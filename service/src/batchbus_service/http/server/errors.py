"""Every error of the API in one form: `{type, message}` as JSON, but for 401, which is the plain text `Unauthorized`."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from batchbus_events.bus import BusError
from batchbus_events.event import InvalidEvent
from batchbus_service.domain.errors import (
    BadUser,
    Behind,
    Busy,
    Conflict,
    NotAllowed,
    NotStorable,
    ProviderUnavailable,
    SignInRefused,
    StoreUnavailable,
    TooManyBytes,
    TryLater,
    UnknownThing,
    UnreadableDocument,
    UserExists,
)
from batchbus_service.storage.files import FileTooLarge, InvalidKey

__all__ = ["ApiError", "ApiJson", "Unauthorized", "forbidden", "install", "invalid", "not_allowed", "not_found"]

_UNKNOWN: Final = {
    "code": "unknown_error",
    "type": "unknown_error",
    "message": "An unknown error occurred.",
}


_OVER_HTTP: Final[Mapping[type[Exception], tuple[int, str]]] = {
    UnknownThing: (404, "not_found"),
    NotAllowed: (400, "not_allowed"),
    Conflict: (409, "conflict"),
    UserExists: (409, "conflict"),
    Behind: (503, "unavailable"),
    TryLater: (429, "too_many_requests"),
    ProviderUnavailable: (503, "unavailable"),
    SignInRefused: (403, "not_allowed"),
    TooManyBytes: (413, "not_allowed"),
    BadUser: (400, "invalid_data"),
    NotStorable: (400, "invalid_data"),
    StoreUnavailable: (503, "unavailable"),
    UnreadableDocument: (503, "unavailable"),
    BusError: (503, "unavailable"),
    InvalidEvent: (400, "invalid_data"),
    InvalidKey: (400, "invalid_data"),
    FileTooLarge: (413, "invalid_data"),
    ClientDisconnect: (400, "invalid_data"),
}
"""Status and `type` of each error, and of those that derive from it. Any other is a 500, and says nothing."""


class ApiJson(JSONResponse):
    """JSON with its character set in the content type, as Medusa's clients are used to."""

    media_type = "application/json; charset=utf-8"

    def render(self, content: object) -> bytes:
        """What JSON does not have, in a document of other days or other programs, is shown as the text that it is."""
        try:
            return super().render(content)
        except (TypeError, ValueError):
            return super().render(_in_json(content))


class ApiError(Exception):
    """A request is refused. `type` is a word for programs, the message for people."""

    def __init__(self, status: int, type: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.message = message
        self.headers = headers


class Unauthorized(Exception):
    """The request carries no valid credentials."""


def invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_data", message)


def not_allowed(message: str) -> ApiError:
    return ApiError(400, "not_allowed", message)


def forbidden(message: str) -> ApiError:
    return ApiError(403, "not_allowed", message)


def not_found(message: str) -> ApiError:
    return ApiError(404, "not_found", message)


_REFUSALS: Final[tuple[type[Exception], ...]] = (ApiError, *_OVER_HTTP)


def install(app: FastAPI, admit: Callable[[Request], Awaitable[None]]) -> None:
    """Answer every exception in the API's form. `admit` may refuse a caller who asks for an unknown path under `/admin`."""

    async def no_route(request: Request, error: Exception) -> Response:
        """Unknown paths and verbs, and what else the framework refuses by itself."""
        assert isinstance(error, HTTPException)
        if error.status_code not in (404, 405):
            return _answer(ApiError(error.status_code, "invalid_data", str(error.detail)))
        if request.url.path.startswith("/admin"):
            try:
                await admit(request)
            except Unauthorized:
                return _unauthorized()
            except _REFUSALS as refusal:
                return _answer(_in_form(refusal))
        return _answer(not_found(f"Cannot {request.method} {request.url.path}"))

    async def refused(_request: Request, error: Exception) -> Response:
        return _answer(_in_form(error))

    async def unauthorized(_request: Request, _error: Exception) -> Response:
        return _unauthorized()

    async def unknown(_request: Request, _error: Exception) -> Response:
        return ApiJson(_UNKNOWN, status_code=500)  # the server logs the error itself, with its traceback

    app.add_exception_handler(RequestValidationError, refused)
    for kind in _REFUSALS:
        app.add_exception_handler(kind, refused)
    app.add_exception_handler(HTTPException, no_route)
    app.add_exception_handler(Unauthorized, unauthorized)
    app.add_exception_handler(Exception, unknown)


def _in_form(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            return invalid(", ".join(f"{each['loc'][-1]}: {each['msg']}" for each in error.errors()))
        case _:
            kind = next(each for each in type(error).__mro__ if each in _OVER_HTTP)
            headers = {"retry-after": str(error.seconds)} if isinstance(error, Busy) else None
            return ApiError(*_OVER_HTTP[kind], str(error), headers)


def _in_json(value: object) -> object:
    match value:
        case None | bool() | int():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case float() if math.isfinite(value):
            return value
        case Mapping():
            return {str(_in_json(str(key))): _in_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_in_json(item) for item in value]
        case datetime():
            return value.isoformat()
        case _:
            return f"({type(value).__name__}) {value}"


def _answer(error: ApiError) -> Response:
    body = {"type": error.type, "message": error.message}
    return ApiJson(body, status_code=error.status, headers=dict(error.headers or {}))


def _unauthorized() -> Response:
    return PlainTextResponse("Unauthorized", status_code=401)
