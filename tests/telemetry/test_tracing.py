"""A trace goes from whoever publishes a trigger, through what the service does about it, to every event of the job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from batchbus_events.ids import new_job_id
from batchbus_service.telemetry.otel import OpenTelemetryTracer
from tests.engine.installation import Installation

pytestmark = pytest.mark.rabbitmq

TRACE = "0af7651916cd43dd8448eb211c80319c"
PUBLISHER = "b7ad6b7169203331"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> OpenTelemetryTracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return OpenTelemetryTracer(provider)


def span_id(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parent_id(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


async def test_every_event_belongs_to_the_work_that_made_it(
    installation: Installation, exported: InMemorySpanExporter, tracer: OpenTelemetryTracer
) -> None:
    job_id = new_job_id()
    trigger = installation.trigger("created", job_id, type="noop")
    async with installation.worker(tracer=tracer):
        await installation.publish(replace(trigger, traceparent=f"00-{TRACE}-{PUBLISHER}-01"))
        await installation.followed.event("batch.completed", job_id)

    spans = {span.name: span for span in exported.get_finished_spans()}
    intake, preview, run = spans["batch.created intake"], spans["noop pre_process"], spans["noop process"]
    assert parent_id(intake) == PUBLISHER
    assert parent_id(preview) == parent_id(run) == span_id(intake)
    assert run.attributes is not None
    assert (run.attributes["batchbus.job_id"], run.attributes["batchbus.outcome"]) == (job_id, "done")
    made_by = {event.type: event.traceparent for event in installation.followed.lifecycle(job_id)}
    assert made_by["batch.created"] == f"00-{TRACE}-{span_id(intake)}-01"
    assert made_by["batch.pre_processed"] == f"00-{TRACE}-{span_id(preview)}-01"
    assert made_by["batch.completed"] == f"00-{TRACE}-{span_id(run)}-01"


async def test_what_failed_is_marked_in_the_trace(
    installation: Installation, exported: InMemorySpanExporter, tracer: OpenTelemetryTracer
) -> None:
    async with installation.worker(tracer=tracer):
        job_id = await installation.create("noop")
        await installation.followed.event("batch.completed", job_id)
        await installation.confirm(job_id)
        await installation.followed.event("batch.rejected", job_id)

    (span,) = (span for span in exported.get_finished_spans() if span.name == "batch.confirmed intake")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "not_allowed")
