"""Traces, as a port: the work on a trigger and in a run belongs to the trace of the request for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

__all__ = ["TRACES_NOTHING", "Span", "Tracer"]


class Span:
    """A piece of work in a trace. This one is recorded nowhere."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent
        """W3C Trace Context for the events and calls that this work causes; None outside of any trace."""

    def ended_as(self, outcome: str, *, failed: bool = False) -> None:
        """What came of it, in a word."""


class Tracer:
    """Records nothing, and hands traces on; what records them overrides `span`."""

    @contextmanager
    def span(self, name: str, traceparent: str | None, **attributes: str | int) -> Iterator[Span]:
        """A span for what is done inside. `traceparent`: the work that caused it, if that is known."""
        yield Span(traceparent)


TRACES_NOTHING: Final = Tracer()
