"""Traces by OpenTelemetry: on where its own variables name a collector, off otherwise.

`OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) turns it on; every other variable of the
OpenTelemetry specification holds as well: `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_SDK_DISABLED` and so on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from batchbus_service import __version__
from batchbus_service.telemetry.tracing import Span, Tracer

__all__ = ["OpenTelemetryTracer", "exporting_provider"]

_NAME: Final = "batchbus"
_CONTEXT: Final = TraceContextTextMapPropagator()


def exporting_provider() -> TracerProvider:
    """One that sends spans to the collector that the environment names. Shut it down when the process ends."""
    named = {"service.version": __version__}
    if "OTEL_SERVICE_NAME" not in os.environ:
        named["service.name"] = _NAME
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OpenTelemetryTracer(Tracer):
    """Spans of a provider, each the child of the work that caused it."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer(_NAME, __version__)

    @contextmanager
    def span(self, name: str, traceparent: str | None, **attributes: str | int) -> Iterator[Span]:
        parent = _CONTEXT.extract({"traceparent": traceparent}) if traceparent else None
        named: Mapping[str, str | int] = {f"{_NAME}.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(name, parent, attributes=named) as span:
            yield _Recorded(span, traceparent)


class _Recorded(Span):
    def __init__(self, span: OtelSpan, traceparent: str | None) -> None:
        carrier: dict[str, str] = {}
        _CONTEXT.inject(carrier)
        super().__init__(carrier.get("traceparent", traceparent))
        self._span = span

    def ended_as(self, outcome: str, *, failed: bool = False) -> None:
        self._span.set_attribute(f"{_NAME}.outcome", outcome)
        if failed:
            self._span.set_status(StatusCode.ERROR, outcome)
