"""Logs: one line per event on standard error, for people or for programs, without anything secret in it.

Modules log through structlog (`log.info("job_completed", job_id=...)`), and the lines of a job carry `job_id`,
`job_type`, `attempt`, `worker` and `trace_id`, bound by the code that works on it. The libraries underneath log through the
standard library, which is routed here from `warning` on.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal, TextIO

import structlog
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from batchbus_service.domain.shown import shown

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["LogFormat", "LogLevel", "Seldom", "configure", "redact"]

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]

_CAUSED_BY_OTHERS: Final = frozenset(
    {"message_parked", "parked_message_kept", "stream_broken_off", "trigger_held", "trigger_rejected"}
)
"""Kinds of lines that a sender of bad messages could write once for each message."""
_MOST_IN_A_MINUTE: Final = 20
_SAME: Final = 60
"""Characters by which lines of a library are taken for the same."""
_KINDS: Final = 10_000
"""Kinds of lines that are counted before the count begins anew."""
_MINUTE: Final = 60.0
_HIDDEN: Final = "***"
_OF_LINES: Final = frozenset({"exception", "stack"})
_SECRET_KEY: Final = re.compile(r"passw(or)?d|secret|token|authorization|cookie|credential|api_?key|\Acontext\Z", re.I)
_SECRETS_IN_TEXT: Final = (
    # amqp://user:password@host, up to the last @ of the host part
    (re.compile(r"(?<=://)[^/\s]*@"), f"{_HIDDEN}@"),
    # ?token=...
    (re.compile(r"([?&][\w-]*(?:token|password|secret|signature|key)=)[^&\s'\"]+", re.I), rf"\1{_HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic) [\w.~+/=-]+", re.I), rf"\1 {_HIDDEN}"),
)
_INPUT: Final = "input_value="
_BEHIND_INPUT: Final = ", input_type="


def configure(format: LogFormat | None, level: LogLevel, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error). Give uvicorn `log_config=None` beside it.

    Without a format: for people on a terminal, else for programs.
    """
    stream = stream or sys.stderr
    as_json = format == "json" or (format is None and not stream.isatty())
    enrich: list[Processor] = [
        Seldom(),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    render: list[Processor]
    if as_json:
        # Never with local variables: those of a strategy hold context values.
        exceptions = ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
        render = [exceptions, redact, _json_line]
    else:
        console = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        render = [structlog.processors.format_exc_info, redact, harmless, console]

    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*enrich, *render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *enrich],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    logging.getLogger("batchbus_events").setLevel(threshold)
    logging.captureWarnings(True)


class Seldom:
    """The processor that leaves lines out which somebody else can cause without end: one for each bad message.

    Of each kind some get through in a minute; the first after that says how many were left out, as `left_out`.
    """

    def __init__(self, *, most: int = _MOST_IN_A_MINUTE, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._begun: dict[str, float] = {}
        self._counts: Counter[str] = Counter()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        kind = event.get("event")
        if isinstance(kind, str) and "logger" in event:
            kind = f"{event['logger']}: {kind[:_SAME]}"  # a library's, such as a socket that cannot be accepted
        elif not isinstance(kind, str) or kind not in _CAUSED_BY_OTHERS:
            return event
        if len(self._begun) > _KINDS:
            self._begun.clear()
            self._counts.clear()
        now = self._now()
        if now - self._begun.get(kind, float("-inf")) >= _MINUTE:
            left_out = self._counts[kind] - self._most
            self._begun[kind], self._counts[kind] = now, 0
            if left_out > 0:
                event["left_out"] = left_out
        self._counts[kind] += 1
        if self._counts[kind] > self._most:
            raise structlog.DropEvent
        return event


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that hides what a log must not hold.

    Credentials in URLs and headers go wherever they are; under a key such as `password`, `token` or `context`,
    everything goes.
    """
    return {key: _HIDDEN if _SECRET_KEY.search(key) else _redacted(value) for key, value in event.items()}


def harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor that takes from texts what would command the terminal that shows them. Tracebacks keep their lines."""
    return {shown(key): _harmless(value, lines=key in _OF_LINES) for key, value in event.items()}


def _harmless(value: object, *, lines: bool = False) -> object:
    match value:
        case str():
            return shown(value, lines=lines)
        case Mapping():
            return {shown(str(key)): _harmless(below) for key, below in value.items()}
        case list():
            return [_harmless(below) for below in value]
        case _:
            return value


_as_json: Final = structlog.processors.JSONRenderer(ensure_ascii=False)


def _json_line(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """JSON, with the same characters escaped: what it says stays the same."""
    return shown(str(_as_json(logger, method, event)))


def _redacted(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _HIDDEN if _SECRET_KEY.search(str(key)) else _redacted(below) for key, below in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(below) for below in value]
    if isinstance(value, BaseException):
        value = f"{type(value).__name__}: {value}"
    text = str(value)
    for secret, instead in _SECRETS_IN_TEXT:
        text = secret.sub(instead, text)
    return _without_inputs(text)


def _without_inputs(text: str) -> str:
    """Without what pydantic quotes when it could not validate it, such as a part of a job's context.

    Where the end of the quoted value cannot be found, all that follows is hidden.
    """
    before, *quoted = text.split(_INPUT)
    ends = (value.partition(_BEHIND_INPUT) for value in quoted)
    return before + "".join(f"{_INPUT}{_HIDDEN}{behind}{rest}" for _, behind, rest in ends)
