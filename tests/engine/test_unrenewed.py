"""A process that cannot trust the clock judges leases by what it has seen itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from batchbus_service.domain.job import Job, Lease, Status
from batchbus_service.engine.unrenewed import UnrenewedLeases

NOW = datetime(2030, 1, 1, tzinfo=UTC)
JOB = Job(
    id="batch_1",
    type="any",
    status=Status.PROCESSING,
    created_by="",
    context={},
    request_digest="",
    dry_run=False,
    created_at=NOW,
    updated_at=NOW,
)


def leased(until: float) -> Job:
    return replace(JOB, lease=Lease("worker-1", NOW + timedelta(seconds=until)))


def test_a_lease_has_run_out_when_it_was_seen_unrenewed_for_longer_than_it_lasts() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([leased(10)], 100.0)
    assert not leases.has_run_out(leased(10), 130.0)
    assert leases.has_run_out(leased(10), 130.5)
    leases.look_at([leased(10)], 120.0)
    assert leases.has_run_out(leased(10), 130.5), "a second look changes nothing"


def test_a_lease_that_was_renewed_begins_anew() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([leased(10)], 100.0)
    assert not leases.has_run_out(leased(20), 200.0)
    leases.look_at([leased(20)], 125.0)
    assert not leases.has_run_out(leased(20), 150.0)


def test_what_was_never_seen_or_has_no_lease_has_not_run_out() -> None:
    leases = UnrenewedLeases(timedelta(seconds=30))
    leases.look_at([JOB], 0.0)
    assert not leases.has_run_out(JOB, 100.0)
    assert not leases.has_run_out(leased(1), 100.0)
    leases.look_at([leased(1)], 0.0)
    leases.forget()
    assert not leases.has_run_out(leased(1), 100.0)
