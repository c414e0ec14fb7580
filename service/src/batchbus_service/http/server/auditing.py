"""What operators ask for is written down: every change that comes with a credential which may do more than its user's own."""

from __future__ import annotations

from typing import Final, cast

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from batchbus_service.access import Principal
from batchbus_service.access.audit import AuditTrail
from batchbus_service.domain.errors import StoreUnavailable

__all__ = ["Audited"]

_READING: Final = ("GET", "HEAD", "OPTIONS")


class Audited:
    """ASGI middleware. Adds a record before the answer begins; an answer that the caller has is of something recorded.

    Who asked is what `authenticate` has noted in the state of the request.
    """

    def __init__(self, app: ASGIApp, trail: AuditTrail) -> None:
        self._app = app
        self._trail = trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start" and (caller := state.get("caller")) is not None:
                await self._record(scope, cast(Principal, caller), message["status"])
            await send(message)

        await self._app(scope, receive, recorded)

    async def _record(self, scope: Scope, caller: Principal, status: int) -> None:
        if not caller.is_privileged:
            return
        route = str(getattr(scope.get("route"), "path", "none"))
        address = scope["client"][0] if scope.get("client") else ""
        try:
            await self._trail.note(
                f"{scope['method']} {route}", by=caller.user.id, address=address, about=scope["path"], status=status
            )
        except StoreUnavailable as error:
            structlog.get_logger("batchbus").error(
                "act_not_recorded", by=caller.user.id, method=scope["method"], route=route, reason=str(error)
            )
