"""Which tracer the environment asks for."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Final

from batchbus_service.domain.errors import BadSettings
from batchbus_service.telemetry.tracing import TRACES_NOTHING, Tracer

__all__ = ["environments_tracer"]

_COLLECTORS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def environments_tracer(stack: AsyncExitStack) -> Tracer:
    """OpenTelemetry's, if its own variables name a collector. Raises `BadSettings` if it is not installed."""
    if not any(os.environ.get(name) for name in _COLLECTORS):
        return TRACES_NOTHING
    try:
        from batchbus_service.telemetry.otel import OpenTelemetryTracer, exporting_provider
    except ImportError:
        raise BadSettings(
            f"{_COLLECTORS[0]} is set, and OpenTelemetry is not installed: pip install 'batchbus[otel]', or unset it"
        ) from None
    provider = exporting_provider()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return OpenTelemetryTracer(provider)
