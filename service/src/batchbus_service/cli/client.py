"""The HTTP API as the commands use it: JSON in, JSON out, and a readable message for every refusal."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote, urlsplit

import httpx
from httpx_sse import ServerSentEvent, SSEError, connect_sse

from batchbus_service.cli.credentials import Credentials, find_credentials
from batchbus_service.cli.refusals import NotFound, Refusal, Unreachable

__all__ = ["Client", "Document", "connect", "job_path"]

Document = dict[str, Any]
"""A JSON object of the API."""

_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_SILENCE: Final = 60.0
"""Seconds without a byte after which a stream is dead: the server sends a comment every 15."""
_RECONNECTS: Final = 8
"""Attempts in a row to get a broken stream back: about half a minute."""
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


@contextmanager
def connect(timeout: httpx.Timeout = _TIMEOUT) -> Iterator[Client]:
    """A client for the service that the environment names. Raises `Refusal`."""
    credentials = find_credentials()
    with httpx.Client(
        base_url=credentials.url,
        headers={"x-medusa-access-token": credentials.token},
        timeout=timeout,
        trust_env=urlsplit(credentials.url).hostname not in _LOOPBACK,
    ) as http:
        yield Client(http, credentials)


class Client:
    """Every method may raise `Refusal`."""

    def __init__(self, http: httpx.Client, credentials: Credentials) -> None:
        self._http = http
        self._credentials = credentials

    def get(self, path: str, params: list[tuple[str, str]] | None = None) -> Document:
        return self._json(self._request("GET", path, params=params))

    def post(self, path: str, body: Document | None = None, headers: dict[str, str] | None = None) -> Document:
        return self._json(self._request("POST", path, json=body or {}, headers=headers))

    def delete(self, path: str) -> Document:
        return self._json(self._request("DELETE", path))

    def fetch(self, path: str) -> bytes:
        """A file."""
        return self._request("GET", path).content

    def job(self, job_id: str) -> Document:
        return _job(self.get(job_path(job_id)))

    def change(self, job_id: str, what: str, body: Document | None = None) -> Document:
        """`what`: confirm, cancel, retry or check-again. Returns the job."""
        return _job(self.post(f"{job_path(job_id)}/{what}", body))

    def forget(self, job_id: str) -> Document:
        """Have a job's files removed. Returns how many, as `files_removed`."""
        return self.post(f"{job_path(job_id)}/forget")

    def upload(self, file: Path, progress: Callable[[int], object]) -> str:
        """Put a file into the file store; `progress` is called with the bytes sent so far. Returns its key."""
        try:
            with _Watched(file, progress) as opened:
                form = {"files": (file.name, opened)}
                answer = self._json(self._request("POST", "/admin/uploads/protected", files=form))
        except OSError as error:
            raise Refusal(f"Cannot read {file}: {error.strerror}.") from None
        return str(answer["uploads"][0]["key"])

    def download(self, file_key: str, target: Path) -> int:
        """Fetch a file of the file store. Returns its size in bytes."""
        link = urlsplit(self.post("/admin/uploads/download-url", {"file_key": file_key})["download_url"])
        return self.save(f"{link.path}?{link.query}", target)

    def save(self, path: str, target: Path, params: list[tuple[str, str]] | None = None) -> int:
        """Put what a route answers into a file, piece by piece: whole, or not at all. Returns its size in bytes."""
        unfinished = target.with_name(f"{target.name}.part")
        query = None if params is None else httpx.QueryParams(tuple(params))
        with self._as_text(), self._http.stream("GET", path, params=query) as response:
            if response.is_error:
                response.read()
                self._refuse(response)
            try:
                with unfinished.open("wb") as file:
                    for piece in response.iter_bytes():
                        file.write(piece)
                unfinished.replace(target)
            except OSError as error:
                raise Refusal(f"Cannot write {target}: {error.strerror}.") from None
        return target.stat().st_size

    def events(self, path: str, params: list[tuple[str, str]] | None = None) -> Iterator[ServerSentEvent]:
        """A stream of events for as long as the caller reads; a broken one is resumed where it broke.

        It ends when the service says that nothing more is to come.
        """
        last_id, broken = "", 0
        timeout = httpx.Timeout(_TIMEOUT.connect, read=_SILENCE)
        while True:
            headers = {"last-event-id": last_id} if last_id else {}
            try:
                with connect_sse(self._http, "GET", path, params=params, headers=headers, timeout=timeout) as source:
                    if source.response.is_error:
                        source.response.read()
                        self._refuse(source.response)
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        return
                    for event in source.iter_sse():
                        broken, last_id = 0, event.id or last_id
                        if event.data:  # without, it is a place to come back to
                            yield event
            except (httpx.TransportError, SSEError) as error:
                if broken == _RECONNECTS:
                    raise self._unreachable(error) from None
            broken += 1
            from batchbus_events.backoff import delay  # here, as a command that needs no pause starts faster

            time.sleep(delay(broken, first=0.2, longest=5.0))

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        with self._as_text():
            response = self._http.request(method, path, **more)
        if response.is_error:
            self._refuse(response)
        return response

    @contextmanager
    def _as_text(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Refusal:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return Unreachable(
                f"No service answers at {self._credentials.url}.",
                "Start it with `batchbus up`, or set BATCHBUS_URL and BATCHBUS_TOKEN to use another one.",
            )
        return Unreachable(f"The service at {self._credentials.url} stopped answering ({type(error).__name__}).")

    def _refuse(self, response: httpx.Response) -> NoReturn:
        if response.status_code == 401:
            raise Refusal(
                f"The service at {self._credentials.url} does not accept the token from {self._credentials.origin}.",
                "Set BATCHBUS_TOKEN to a token that it gave out and that was not revoked.",
            )
        try:
            message = str(response.json()["message"])
        except (ValueError, KeyError, TypeError):
            status = f"{response.status_code} {response.reason_phrase}"
            raise Refusal(
                f"{self._credentials.url} answered {status}, and not as batchbus does.",
                "Is BATCHBUS_URL the address of a batchbus service?",
            ) from None
        raise NotFound(message) if response.status_code == 404 else Refusal(message)

    def _json(self, response: httpx.Response) -> Document:
        try:
            document: Document = response.json()
        except ValueError:
            self._refuse(response)
        return document


class _Watched(io.BufferedReader):
    """A file that tells how much of it has been read."""

    def __init__(self, file: Path, progress: Callable[[int], object]) -> None:
        super().__init__(io.FileIO(file))
        self._progress = progress

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self._progress(self.tell())
        return piece


def job_path(job_id: str) -> str:
    return f"/admin/batch-jobs/{quote(job_id, safe='')}"


def _job(answer: Document) -> Document:
    job: Document = answer["batch_job"]
    return job
