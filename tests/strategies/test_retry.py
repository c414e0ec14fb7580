"""`@retry`: how often, after what pauses, and what ends it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any, cast

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchbus_strategies import AnyContext, BatchStrategy, JobRun, RunCanceled, Services, retry
from batchbus_strategies.retrying import pause_before_next_try, retry_after
from batchbus_strategies.testing import FakeJob

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


class Answered(Exception):
    """As an HTTP client raises it, with its headers on the error itself."""

    def __init__(self, headers: Mapping[str, str] | None = None, *, retry_after: object = None) -> None:
        super().__init__("503")
        self.headers = headers
        self.retry_after = retry_after


class Server:
    """Fails so many times, and then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self._failures = failures
        self._error = error or TimeoutError("no answer")
        self.asked = 0

    def ask(self) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            raise self._error
        return "answer"


class _Asks(BatchStrategy[AnyContext]):
    identifier = "asks-strategy"
    batch_type = "asks"

    def __init__(self, server: Server, **how: Any) -> None:
        self._server = server
        self._how = {"on": (TimeoutError, Answered), **how}


class Asks(_Asks):
    """Asks a server in an `async def`."""

    async def process(self, run: JobRun[AnyContext]) -> None:
        @retry(**self._how)
        async def ask() -> str:
            return self._server.ask()

        run.result["answer"] = await ask()


class AsksInThread(_Asks):
    """Asks a server in a plain `def`."""

    def process(self, run: JobRun[AnyContext]) -> None:
        run.result["answer"] = retry(**self._how)(self._server.ask)()


KINDS = pytest.mark.parametrize("strategy", [Asks, AsksInThread])


@KINDS
async def test_what_works_in_the_end_is_returned(strategy: type[_Asks], services: Services) -> None:
    server = Server(failures=3)
    job = FakeJob(strategy(server, first=1.0), {}, services)
    run = await job.process()
    assert (job.result, server.asked) == ({"answer": "answer"}, 4)
    assert [0.5 * 2**n <= seconds <= 2**n for n, seconds in enumerate(run.sleeps)] == [True] * 3


@KINDS
async def test_the_last_error_is_raised_as_it_is(strategy: type[_Asks], services: Services) -> None:
    error = Answered()
    server = Server(9, error)
    with pytest.raises(Answered) as raised:
        await FakeJob(strategy(server, tries=3), {}, services).process()
    assert (raised.value, server.asked) == (error, 3)


@KINDS
async def test_other_errors_pass_at_once(strategy: type[_Asks], services: Services) -> None:
    server = Server(9, ConnectionError("refused"))
    with pytest.raises(ConnectionError):
        await FakeJob(strategy(server), {}, services).process()
    assert server.asked == 1


@KINDS
async def test_a_cancellation_ends_the_pause(strategy: type[_Asks], services: Services) -> None:
    server = Server(9)
    with pytest.raises(RunCanceled):
        await FakeJob(strategy(server, on=Exception), {}, services).process(stop_at=2, stop_with=RunCanceled)
    assert server.asked == 2


@KINDS
async def test_a_server_is_left_alone_as_long_as_it_asks(strategy: type[_Asks], services: Services) -> None:
    run = await FakeJob(strategy(Server(1, Answered({"Retry-After": "7"}))), {}, services).process()
    assert 7 <= run.sleeps[0] <= 7.5


@KINDS
async def test_a_server_that_asks_for_too_much_is_not_waited_for(strategy: type[_Asks], services: Services) -> None:
    server = Server(1, Answered(retry_after=301))
    with pytest.raises(Answered):
        await FakeJob(strategy(server), {}, services).process()
    assert server.asked == 1


async def test_a_plain_def_that_an_async_def_calls_is_not_tried_again() -> None:
    server = Server(1)
    with pytest.raises(TimeoutError) as raised:
        retry(on=TimeoutError)(server.ask)()
    assert "make it an async def" in raised.value.__notes__[0]


async def test_outside_of_a_run_it_works_too() -> None:
    server = Server(1)

    @retry(on=TimeoutError, first=0.001)
    async def ask() -> str:
        return server.ask()

    assert await ask() == "answer"


def test_what_has_no_name_is_tried_again_too() -> None:
    assert retry(on=TimeoutError, first=0.001)(partial(Server(1).ask))() == "answer"


def test_what_cannot_be_tried_again_is_refused_where_it_is_defined() -> None:
    with pytest.raises(TypeError, match="subclass of Exception"):
        retry(on=cast(Any, RunCanceled))
    with pytest.raises(ValueError, match="1 or more"):
        retry(on=OSError, tries=0)
    with pytest.raises(TypeError, match="is a generator"):

        @retry(on=OSError)
        def lines() -> Iterator[str]:
            yield ""


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Answered(), None),
        (Answered({"Retry-After": "7"}), 7),
        (Answered({"retry-after": "0.5"}), 0.5),
        (Answered({"Retry-After": "-7"}), 0),
        (Answered({"Retry-After": "soon"}), None),
        (Answered({"Retry-After": "nan"}), None),
        (Answered({"Retry-After": f"Tue, 01 Jan 2030 00:00:00 +{10**20}"}), None),
        (Answered({"Retry-After": format_datetime(NOW + timedelta(seconds=90), usegmt=True)}), 90),
        (Answered({"Retry-After": format_datetime(NOW - timedelta(seconds=90), usegmt=True)}), 0),
        (Answered(retry_after=3), 3),
        (Answered(retry_after=timedelta(minutes=1)), 60),
        (Answered({"Retry-After": "7"}, retry_after=True), 7),
        (httpx.HTTPStatusError("503", request=httpx.Request("GET", "http://a"), response=httpx.Response(503)), None),
        (
            httpx.HTTPStatusError(
                "503",
                request=httpx.Request("GET", "http://a"),
                response=httpx.Response(503, headers={"Retry-After": "9"}),
            ),
            9,
        ),
    ],
    ids=repr,
)
def test_how_long_a_server_wants_to_be_left_alone(error: Exception, seconds: float | None) -> None:
    assert retry_after(error, now=NOW) == seconds


def test_a_date_counts_from_the_time_of_the_answer() -> None:
    answered_at = NOW - timedelta(hours=3)
    headers = {"Retry-After": format_datetime(answered_at + timedelta(seconds=5), usegmt=True)}
    assert retry_after(Answered({**headers, "Date": format_datetime(answered_at, usegmt=True)}), now=NOW) == 5


@given(
    st.integers(1, 10_000), st.none() | st.floats(0, 1000), st.floats(0.5, 1), st.floats(0.01, 10), st.floats(10, 100)
)
def test_a_pause_is_never_shorter_than_asked_and_never_much_longer(
    failed: int, asked: float | None, chance: float, first: float, longest: float
) -> None:
    seconds = pause_before_next_try(failed, asked, first=first, longest=longest, chance=chance)
    assert (asked or 0) <= seconds <= (asked or 0) + longest
