"""Times as people type and read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from batchbus_service.cli import times
from tests.cli.command import Command

Submit = Callable[..., str]


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader lives in Berlin."""
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("2h", timedelta(hours=2)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_time_may_be_how_long_ago(text: str, ago: timedelta) -> None:
    before = datetime.now(UTC)
    read = times.moment(text)
    assert before - ago <= read <= datetime.now(UTC) - ago


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("text", "hour"),
    [("2026-01-31T14:00", 13), ("2026-01-31T14:00Z", 14), ("2026-01-31T14:00:00+03:00", 11), ("2026-07-31T14:00", 12)],
)
def test_a_time_without_a_zone_is_the_readers(text: str, hour: int) -> None:
    assert times.moment(text).astimezone(UTC).hour == hour


@pytest.mark.parametrize("text", ["yesterday", "2", "2x", "-2h", "", "99999999d", "2026-13-01", "9999999999999s"])
def test_what_is_no_time_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2h or 7d"):
        times.moment(text)


def test_a_range_with_nothing_in_it_is_refused(batchbus: Command) -> None:
    refused = batchbus("jobs", "--since", "1h", "--until", "2h")
    assert refused.code == 2
    assert "is not before" in refused.err


@pytest.mark.usefixtures("berlin")
def test_times_are_the_readers_and_those_of_utc_have_a_z(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--dry-run")
    batchbus.fine("watch", job_id)
    job = batchbus.fine("show", job_id, "--json").json["batch_job"]
    made = datetime.fromisoformat(job["created_at"])
    here, there = made.astimezone().strftime("%Y-%m-%d %H:%M:%S"), made.strftime("%Y-%m-%d %H:%M:%SZ")
    assert here != there.removesuffix("Z")

    local, utc = batchbus.fine("show", job_id).out, batchbus.fine("show", job_id, "--utc").out
    assert f"created {here} by" in local and f"created {there} by" in utc
    until = made + timedelta(days=7)
    assert f"{until.astimezone():%Y-%m-%d %H:}" in local.splitlines()[1], "also in the sentences of the service"
    assert "UTC" not in local and f"{until:%Y-%m-%d %H:}" in utc.splitlines()[1]
    assert here in batchbus.fine("jobs").out and there in batchbus.fine("jobs", "--utc").out
    assert there not in batchbus.fine("jobs").out, "the option is that of one command"


def test_jobs_of_a_range_of_time_are_listed(batchbus: Command, submit: Submit) -> None:
    job_id = submit("slow", "--context", '{"steps": 1}')
    batchbus.fine("watch", job_id)
    job = batchbus.fine("show", job_id, "--json").json["batch_job"]

    def listed(*options: str) -> bool:
        return job_id in batchbus.fine("jobs", "--type", "slow", "--limit", "1000", *options).out

    assert listed("--since", "1h") and not listed("--until", "1h")
    for when in ("created", "updated", "completed"):
        at = datetime.fromisoformat(job[f"{when}_at"])
        later = (at + timedelta(milliseconds=1)).isoformat()
        assert listed("--time", when, "--since", at.isoformat(), "--until", later)
        assert not listed("--time", when, "--until", at.isoformat()), "the end is left out"
    assert not listed("--time", "failed", "--since", "1h")
