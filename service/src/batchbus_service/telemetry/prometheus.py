"""The meter that Prometheus reads. What each metric says is in docs/production.md.

Every process has a registry of its own, so that several services in one process do not mix. Labels are bounded: a batch
type that no strategy here serves counts as `other`, a path without a route as `none`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import version
from typing import Final, Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from batchbus_events import topics
from batchbus_events.bus import Bus
from batchbus_service.domain.job import TERMINAL, Job, Status
from batchbus_service.telemetry.meter import Meter, RunEnd
from batchbus_service.telemetry.queues import QueueDepths
from batchbus_strategies import Phase

__all__ = ["PrometheusMeter"]

_WAIT_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200)
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800)
_RUN_BUCKETS: Final = (0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 28800)
_STORE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
_HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PHASES: Final[tuple[Phase, ...]] = ("pre_process", "process")
_STATUS_OF: Final = {f"batch.{status}": status for status in Status}
"""By the event that tells of a job's reaching it."""


class Backlog(Protocol):
    """What waits for the message broker."""

    @property
    def backlog(self) -> int:
        """How many events wait."""

    @property
    def failure(self) -> str | None:
        """Why the broker refuses events; None if it does not."""


class SlotCounts(Protocol):
    """How many jobs a worker may run at a time."""

    def size(self, phase: Phase) -> int:
        """How many slots there are, free and taken."""

    def free(self, phase: Phase) -> int:
        """How many are free."""


class PrometheusMeter(Meter):
    """One per process. `types`: the batch types that have values of their own."""

    def __init__(self, types: Collection[str]) -> None:
        self._types = frozenset(types)
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("batchbus", "The version that runs.", registry=registry).info({"version": version("batchbus")})

        def counter(name: str, says: str, *labels: str) -> Counter:
            return Counter(f"batchbus_{name}", says, labels, registry=registry)

        def gauge(name: str, says: str, *labels: str) -> Gauge:
            return Gauge(f"batchbus_{name}", says, labels, registry=registry)

        def histogram(name: str, says: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"batchbus_{name}", says, labels, buckets=buckets, registry=registry)

        self._reached = counter("jobs_total", "Jobs that reached a status.", "type", "status")
        self._retries = counter("retries_total", "Jobs that are tried again, by whom.", "type", "by")
        self._wait = histogram(
            "job_wait_seconds", "From when a job was ready to when a worker took it.", _WAIT_BUCKETS, "type", "phase"
        )
        self._runs = counter("runs_total", "Runs of one phase, by how they ended.", "type", "phase", "outcome")
        self._run = histogram("run_seconds", "How long a run of one phase took.", _RUN_BUCKETS, "type", "phase")
        self._records = counter("records_total", "Records that were done.", "type", "phase")
        self._row_errors = counter("row_errors_total", "Records that could not be used.", "type", "phase")
        self._rescued = counter("jobs_rescued_total", "Jobs that the rescuer took up.", "type")
        self._trigger_lag = histogram(
            "trigger_lag_seconds", "From a trigger's own time to when it was taken.", _LAG_BUCKETS, "event"
        )
        self._publish_lag = histogram(
            "publish_lag_seconds", "From a lifecycle event to the broker's confirm.", _LAG_BUCKETS
        )
        self._parked = counter("messages_parked_total", "Messages that could not be used.")
        self._rejected = counter("triggers_rejected_total", "Triggers that could not be carried out.", "reason")
        self._store = histogram("store_seconds", "How long the job store took.", _STORE_BUCKETS, "operation")
        self._store_errors = counter("store_errors_total", "Calls that the job store did not answer.", "operation")
        self._requests = counter("http_requests_total", "Requests answered.", "method", "route", "status")
        self._request = histogram("http_request_seconds", "Until the answer began.", _HTTP_BUCKETS, "method", "route")
        self._login_failures = counter("login_failures_total", "Logins that were refused.", "reason")
        self._slots = gauge("slots", "Slots of this worker.", "phase")
        self._slots_used = gauge("slots_used", "Slots in which a job runs.", "phase")
        self._connected = gauge("bus_connected", "1 while the message broker can be reached.")
        self._backlog = gauge("outbox_events", "Events that wait for the message broker.")
        self._refused = gauge("outbox_refused", "1 while the message broker refuses events.")
        self._messages = gauge("queue_messages", "Messages that wait in a queue of batchbus.", "queue")
        self._consumers = gauge("queue_consumers", "Consumers of a queue of batchbus.", "queue")
        self._oldest_trigger = gauge("oldest_trigger_seconds", "How long the oldest trigger has waited, at most.")
        self._taken_at = time.monotonic()
        self._waiting_parked = gauge("parked_messages", "Parked messages that wait for an operator.")
        self._streams = gauge("event_streams", "Event streams that someone reads.")

    # -- what is told to it ----------------------------------------------------------------------------------------

    def wrote(self, old: Job | None, new: Job) -> None:
        job_type = self._type(new.type)
        for entry in new.history[len(old.history) if old else 0 :]:
            if entry.type in _STATUS_OF:
                self._reached.labels(job_type, _STATUS_OF[entry.type]).inc()
            elif "attempt" in entry.data:
                self._retries.labels(job_type, "engine").inc()
        if old and old.status in TERMINAL and new.status not in TERMINAL:
            self._retries.labels(job_type, "operator").inc()
        if new.lease is None:
            return
        if old is None or new.fence != old.fence:
            ready_at = old.ready_at if old else new.created_at
            waited = (new.updated_at - (ready_at or new.updated_at)).total_seconds()
            self._wait.labels(job_type, new.phase).observe(max(0.0, waited))
        elif new.phase != old.phase:  # it goes on at once
            self._wait.labels(job_type, new.phase).observe(0.0)

    def ran(self, job_type: str, phase: Phase, outcome: RunEnd, seconds: float) -> None:
        job_type = self._type(job_type)
        self._runs.labels(job_type, phase, outcome).inc()
        self._run.labels(job_type, phase).observe(seconds)

    def advanced(self, job_type: str, phase: Phase, records: int, row_errors: int) -> None:
        job_type = self._type(job_type)
        self._records.labels(job_type, phase).inc(records)
        self._row_errors.labels(job_type, phase).inc(row_errors)

    def rescued(self, job_type: str) -> None:
        self._rescued.labels(self._type(job_type)).inc()

    def took_trigger(self, event_type: str, lag: float | None) -> None:
        self._taken_at = time.monotonic()
        if lag is not None:
            self._trigger_lag.labels(event_type).observe(max(0.0, lag))

    def published(self, lag: float) -> None:
        self._publish_lag.observe(max(0.0, lag))

    def parked(self) -> None:
        self._parked.inc()

    def rejected(self, reason: str) -> None:
        self._rejected.labels(reason).inc()

    def asked_store(self, operation: str, seconds: float, *, failed: bool) -> None:
        self._store.labels(operation).observe(seconds)
        if failed:
            self._store_errors.labels(operation).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in _METHODS else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._request.labels(method, route).observe(seconds)

    def login_failed(self, reason: Literal["credentials", "limit"]) -> None:
        self._login_failures.labels(reason).inc()

    # -- what it looks at when it is asked -------------------------------------------------------------------------

    def look_at_engine(self, bus: Bus, outbox: Backlog) -> None:
        self._connected.set_function(lambda: bus.connected)
        self._backlog.set_function(lambda: outbox.backlog)
        self._refused.set_function(lambda: outbox.failure is not None)

    def look_at_slots(self, slots: SlotCounts) -> None:
        def used(phase: Phase) -> Callable[[], float]:
            return lambda: slots.size(phase) - slots.free(phase)

        for phase in _PHASES:
            self._slots.labels(phase).set(slots.size(phase))
            self._slots_used.labels(phase).set_function(used(phase))

    def look_at_queues(self, queues: QueueDepths) -> None:
        def oldest_trigger() -> float:
            # A queue gives what came first: what waits in it came after the trigger that was taken last.
            waiting = queues.messages(topics.TRIGGERS_QUEUE.name)
            return time.monotonic() - self._taken_at if waiting else waiting

        self._oldest_trigger.set_function(oldest_trigger)
        for queue in queues.queues:
            self._messages.labels(queue).set_function(partial(queues.messages, queue))
            self._consumers.labels(queue).set_function(partial(queues.consumers, queue))

    def look_at_parked(self, waiting: Callable[[], float]) -> None:
        self._waiting_parked.set_function(waiting)

    def look_at_streams(self, readers: Callable[[], int]) -> None:
        self._streams.set_function(readers)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the text format that an `Accept` header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _type(self, job_type: str) -> str:
        return job_type if job_type in self._types else "other"
