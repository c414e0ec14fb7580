"""The command that has the service forget what a job has left behind."""

from __future__ import annotations

from batchbus_service.cli.client import connect
from batchbus_service.cli.options import AsJson, JobId
from batchbus_service.cli.output import out, print_json
from batchbus_service.domain.plurals import counted

__all__ = ["forget"]


def forget(job: JobId, as_json: AsJson = False) -> None:
    """Remove a job's plan, outcome, error file and row errors; the job itself, uploads and exports stay."""
    with connect() as client:
        answer = client.forget(job)
    if as_json:
        print_json(answer)
    else:
        out().print(f"{counted(answer['files_removed'], 'file')} of {answer['id']} removed")
