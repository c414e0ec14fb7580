"""Logs: what a line holds, what it never holds, and where other libraries' lines go."""

import contextlib
import io
import json
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from batchbus_service.telemetry.logs import LogFormat, Seldom, configure, redact
from tests.telemetry.kept import logging_kept


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    with logging_kept():
        yield


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_and_how_grave_and_what_its_logger_was_bound_to() -> None:
    configure(format="json", level="info", stream=(out := io.StringIO()))
    structlog.get_logger().bind(job_id="batch_1", attempt=2).warning("run_failed", reason="no paper")

    (line,) = lines(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "run_failed",
        "level": "warning",
        "job_id": "batch_1",
        "attempt": 2,
        "reason": "no paper",
    }


def test_what_is_bound_to_the_context_is_on_every_line_of_it() -> None:
    configure(format="json", level="info", stream=(out := io.StringIO()))
    with structlog.contextvars.bound_contextvars(trace_id="0af7"):
        structlog.get_logger().info("here")
        logging.getLogger("pymongo").warning("and here")
    structlog.get_logger().info("not here")

    assert [line.get("trace_id") for line in lines(out)] == ["0af7", "0af7", None]


def test_lines_below_the_level_are_left_out() -> None:
    configure(format="json", level="warning", stream=(out := io.StringIO()))
    structlog.get_logger().info("small talk")
    structlog.get_logger().warning("trouble")
    assert [line["event"] for line in lines(out)] == ["trouble"]


def test_other_libraries_are_heard_from_warning_on_and_say_who_they_are() -> None:
    configure(format="json", level="debug", stream=(out := io.StringIO()))
    logging.getLogger("aio_pika").info("small talk")
    logging.getLogger("aio_pika").warning("lost %s", "amqp://me:secret@host/")
    logging.getLogger("batchbus_events.memory").info("our own")

    assert [(line["logger"], line["event"]) for line in lines(out)] == [
        ("aio_pika", "lost amqp://***@host/"),
        ("batchbus_events.memory", "our own"),
    ]


def test_python_warnings_are_lines_too() -> None:
    configure(format="json", level="info", stream=(out := io.StringIO()))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert "old ways" in lines(out)[0]["event"]


def test_an_exception_is_data_without_local_variables() -> None:
    configure(format="json", level="info", stream=(out := io.StringIO()))
    context = {"discount": "hush"}
    try:
        try:
            context["code"]
        except KeyError as error:
            raise ConnectionError("amqp://me:secret@host is away") from error
    except ConnectionError:
        structlog.get_logger().exception("run_failed")

    (line,) = lines(out)
    raised, cause = line["exception"]
    assert (raised["exc_type"], raised["exc_value"]) == ("ConnectionError", "amqp://***@host is away")
    assert cause["exc_type"] == "KeyError"
    assert raised["frames"][-1]["name"] == "test_an_exception_is_data_without_local_variables"
    assert "hush" not in out.getvalue()


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_refused_context_is_not_quoted(format: LogFormat) -> None:
    class Context(BaseModel):
        discount: int

    context = {"discount": "hush, hush"}
    configure(format=format, level="info", stream=(out := io.StringIO()))
    try:
        Context.model_validate(context)
    except ValidationError as error:
        structlog.get_logger().warning("refused", exc_info=error, reason=str(error))
    assert "valid integer" in out.getvalue()
    assert "hush" not in out.getvalue()


def test_people_read_one_line_with_the_same_content() -> None:
    configure(format="console", level="info", stream=(out := io.StringIO()))
    structlog.get_logger().info("job_completed", job_id="batch_1", url="mongodb://me:secret@host/?a=1")

    (line,) = out.getvalue().splitlines()
    assert "job_completed" in line
    assert "job_id=batch_1" in line
    assert "mongodb://***@host/?a=1" in line
    assert "\x1b" not in line


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"url": "amqps://u:p@ss@host:5671/v"}, {"url": "amqps://***@host:5671/v"}),
        ({"url": "http://host/a@b"}, {"url": "http://host/a@b"}),
        ({"url": "http://host/a?access_token=abc&page=2"}, {"url": "http://host/a?access_token=***&page=2"}),
        ({"header": "authorization was Bearer abc.def"}, {"header": "authorization was Bearer ***"}),
        (
            {"Authorization": "x", "api_key": "x", "JWT_SECRET": "x"},
            dict.fromkeys(["Authorization", "api_key", "JWT_SECRET"], "***"),
        ),
        (
            {"context": {"a": 1}, "result": {"context": 1, "n": [1]}},
            {"context": "***", "result": {"context": "***", "n": [1]}},
        ),
        ({"error": ValueError("at redis://:pw@host")}, {"error": "ValueError: at redis://***@host"}),
        ({"counts": (1, 2.5, None, True)}, {"counts": [1, 2.5, None, True]}),
    ],
)
def test_secrets_are_hidden_wherever_they_are(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert redact(None, "info", given) == kept


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.binary(),
        lambda below: st.lists(below) | st.dictionaries(st.text() | st.integers(), below),
    )
)
def test_any_value_can_be_logged(value: object) -> None:
    json.dumps(redact(None, "info", {"value": value}))


@given(st.text(st.characters(exclude_characters="/", exclude_categories=["Z", "C"]), min_size=1))
def test_no_password_survives_in_a_url(password: str) -> None:
    text = redact(None, "info", {"event": f"no answer from amqp://user:{password}@host/vhost"})["event"]
    assert text == "no answer from amqp://***@host/vhost"


def test_lines_that_others_can_cause_without_end_are_told_some_times_a_minute_and_then_how_many_there_were() -> None:
    now = 0.0
    seldom = Seldom(most=3, now=lambda: now)

    def written(count: int) -> list[Any]:
        through = []
        for number in range(count):
            with contextlib.suppress(structlog.DropEvent):
                through.append(seldom(None, "warning", {"event": "message_parked", "number": number}))
        return through

    assert [line["number"] for line in written(1000)] == [0, 1, 2]
    assert [seldom(None, "info", {"event": "batch.created"}) for _ in range(9)] == 9 * [{"event": "batch.created"}]
    now = 59.0
    assert written(10) == []
    now = 60.0
    first, second, *_ = written(2)
    assert first["left_out"] == 1007
    assert "left_out" not in second
    now = 200.0
    (after_a_quiet_time,) = written(1)
    assert "left_out" not in after_a_quiet_time


def test_a_flood_of_bad_messages_fills_no_log() -> None:
    configure(format="json", level="info", stream=(out := io.StringIO()))
    for _ in range(500):
        structlog.get_logger().warning("message_parked", reason="no JSON")
        structlog.get_logger().warning("run_failed", reason="no paper")
    counts = Counter(line["event"] for line in lines(out))
    assert counts["message_parked"] < 30
    assert counts["run_failed"] == 500
