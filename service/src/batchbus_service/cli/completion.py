"""What a shell proposes for an argument: ids of jobs and batch types, as the service has them right now."""

from __future__ import annotations

from typing import Final

import httpx

from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.refusals import Refusal

__all__ = ["complete_jobs", "complete_types"]

_TIMEOUT: Final = httpx.Timeout(1.0)
"""A completion waits no longer than this for a service that does not answer."""
_NEWEST: Final = "100"


def complete_jobs(incomplete: str) -> list[tuple[str, str]]:
    """The newest jobs whose ids begin like that, each with its type and status."""
    listed = _asked("/admin/batch-jobs", [("limit", _NEWEST)]).get("batch_jobs", [])
    return [(job["id"], f"{job['type']}, {job['status']}") for job in listed if str(job["id"]).startswith(incomplete)]


def complete_types(incomplete: str) -> list[str]:
    """The batch types whose names begin like that."""
    listed = _asked("/admin/batch-types").get("batch_types", [])
    return [entry["type"] for entry in listed if str(entry["type"]).startswith(incomplete)]


def _asked(path: str, params: list[tuple[str, str]] | None = None) -> Document:
    """Nothing at all where the service cannot be asked: a shell that completes is no place for an error."""
    try:
        with connect(_TIMEOUT) as client:
            return client.get(path, params)
    except Refusal:
        return {}
