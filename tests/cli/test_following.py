"""Following a job: leaving it to itself, and noticing that nothing happens."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout

import pytest
from httpx_sse import ServerSentEvent

from batchbus_service.cli.client import Client, Document
from batchbus_service.cli.following import follow
from batchbus_service.cli.refusals import ExitCode
from batchbus_service.cli.silence import Silence, span
from tests.cli.command import Command
from tests.patience import PATIENCE


def test_ctrl_c_says_that_the_job_goes_on_and_how_to_follow_and_stop_it(
    batchbus: Command, submit: Callable[..., str]
) -> None:
    job_id = submit("slow", "--context", '{"steps": 100000, "seconds": 0.01}')
    watching = batchbus.start("watch", job_id)
    assert watching.stdout
    watching.stdout.readline()
    watching.send_signal(signal.SIGINT)
    _, err = watching.communicate(timeout=PATIENCE)
    assert watching.returncode == ExitCode.INTERRUPTED
    assert f"{job_id} goes on" in err and "Traceback" not in err
    assert f"batchbus watch {job_id}" in err and f"batchbus cancel {job_id}" in err
    assert batchbus.fine("show", job_id, "--json").json["batch_job"]["status"] in ("created", "confirmed", "processing")
    batchbus.fine("cancel", job_id)


def test_silence_is_noticed_again_and_again_and_ends_when_something_is_heard() -> None:
    noticed: list[float] = []
    again, after_a_sound = threading.Event(), threading.Event()

    def notice(seconds: float) -> None:
        noticed.append(seconds)
        if len(noticed) == 3:
            again.set()
        if again.is_set() and heard.is_set():
            after_a_sound.set()

    heard = threading.Event()
    with Silence(notice, after=0.001) as silence:
        assert again.wait(PATIENCE)
        heard.set()
        silence.broken()
        assert after_a_sound.wait(PATIENCE)
    assert noticed[:3] == sorted(noticed[:3]), "the same silence becomes longer"
    assert noticed[1] >= 2 * noticed[0], "and is noticed ever more seldom"


class _Hanging(Client):
    """A service whose job shows no sign until somebody has noticed."""

    def __init__(self, noticed: Callable[[], bool]) -> None:
        self._noticed = noticed

    def events(self, path: str, params: list[tuple[str, str]] | None = None) -> Iterator[ServerSentEvent]:
        assert self._noticed()
        return iter(())

    def job(self, job_id: str) -> Document:
        return {"id": job_id, "status": "completed"}


def test_a_job_that_hangs_is_said_to_make_no_progress() -> None:
    reads, writes = os.pipe()
    with os.fdopen(reads) as said, os.fdopen(writes, "w", buffering=1) as printed, redirect_stdout(printed):
        lines: list[str] = []

        def noticed() -> bool:
            lines.append(said.readline())
            return True

        follow(_Hanging(noticed), "batch_A", as_json=False, silent_after=0.001)
    assert "no progress for 0 s; batchbus show batch_A says where it is" in lines[0]


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (180.1, "3 min"), (7210, "120 min")])
def test_a_span_of_time_is_one_number(seconds: float, text: str) -> None:
    assert span(seconds) == text
