"""The past from where it is never forgotten: the History port, and the one that asks batchbus over HTTP.

The log on the broker is kept for a while. What is older, or was lost with the log, is in the histories of the jobs, in
the database of batchbus, which its clients cannot reach; so they ask for it through this port.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from batchbus_events.event import Event, decode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

__all__ = ["History", "HistoryUnavailable", "HttpHistory"]

_ANSWER_SECONDS: Final = 60.0
"""How long the service may take until the next event."""


class HistoryUnavailable(Exception):
    """The history cannot be asked for, or it broke off. The next question has to be for all of it."""


class History(Protocol):
    """What has happened, for as long as there are jobs. Every method may raise `HistoryUnavailable`."""

    def since(self, time: datetime) -> AsyncGenerator[Event, None]:
        """Every lifecycle event from that time on, up to the present; in order for each job, and each once."""

    def of_job(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """The job's lifecycle events with a `sequence` greater than `after`, in order. None if there is no such job."""


class HttpHistory:
    """The history as the HTTP API of batchbus tells it: `async with HttpHistory.open(url, token=…) as history`.

    The token is that of a user who may see the events of all jobs. Takes the extra `batchbus-events[http]`.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, *, token: str) -> AsyncIterator[HttpHistory]:
        """`url` is where the API is, such as `https://batchbus.example`. Nothing is asked yet.

        Raises: `ImportError` without the extra.
        """
        try:
            import httpx  # here, so that everything else works with pydantic alone
        except ModuleNotFoundError as error:
            raise ImportError("the history over HTTP takes httpx: pip install 'batchbus-events[http]'") from error
        headers = {"x-medusa-access-token": token}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=_ANSWER_SECONDS, trust_env=False) as http:
            yield cls(http)

    async def since(self, time: datetime) -> AsyncGenerator[Event, None]:
        """Every lifecycle event from that aware time on, up to the present; in order for each job, and each once.

        Raises: `HistoryUnavailable`, also when it breaks off in the middle; the next call has to be for all of it.
        """
        async with aclosing(self._events({"since": time.astimezone(UTC).isoformat()})) as events:
            async for event in events:
                yield event

    async def of_job(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """The lifecycle events of a job with a `sequence` greater than `after`, in order. Raises: `HistoryUnavailable`."""
        async with aclosing(self._events({"job_id": job_id, "after": str(after)})) as events:
            async for event in events:
                yield event

    async def _events(self, query: dict[str, str]) -> AsyncGenerator[Event, None]:
        import httpx

        try:
            async with self._http.stream("GET", "/admin/events/history", params=query) as answer:
                if answer.status_code != httpx.codes.OK:
                    await answer.aread()
                    raise HistoryUnavailable(f"the history cannot be read: {answer.status_code} {answer.text[:500]}")
                async for line in answer.aiter_lines():
                    yield decode(line.encode())
        except httpx.HTTPError as error:
            raise HistoryUnavailable(f"the history cannot be read: {str(error) or type(error).__name__}") from error
