"""What every route of the API works with, and how a route gets at it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from batchbus_service.bootstrap import Service
from batchbus_service.http.connections import HttpPatience
from batchbus_service.http.finding import JobFinder
from batchbus_service.http.keys import Keys
from batchbus_service.http.live import LiveFeed
from batchbus_service.http.shelf import Shelf
from batchbus_service.line_pages import LinePages
from batchbus_service.parked.keeper import Keeper
from batchbus_service.users import Users

__all__ = ["Api", "ApiState", "api_of"]


@dataclass(frozen=True, slots=True)
class Api:
    """One per application."""

    service: Service
    users: Users
    keys: Keys
    finder: JobFinder
    feed: LiveFeed
    shelf: Shelf
    patience: HttpPatience
    plans: LinePages
    keeper: Keeper


def api_of(request: Request) -> Api:
    return cast(Api, request.app.state.api)


ApiState = Annotated[Api, Depends(api_of)]
