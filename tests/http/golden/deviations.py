"""The one table of what is answered otherwise than recorded: which row of `docs/medusa.md`, and what is expected instead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.http.golden.exchange import Answer

__all__ = ["ANSWERED_DIFFERENTLY", "NOT_REPLAYED", "Deviation"]

_JSON: Final = "application/json; charset=utf-8"

_BAD_INPUT: Final = "Bad input that reaches the database is answered with 500"
_PAGES: Final = "Errors outside the routes are HTML pages, with a stack trace and server paths"
_STRANGERS: Final = "A malformed body is looked at before the caller is known"
_BARE_401: Final = "Some 401 have no content type"
_LIMITS: Final = "`limit=0` and `limit=100000` return everything"
_FIELDS: Final = "`fields=` shows a wrong `status`, and `fields=status` crashes"
_IDEMPOTENCY: Final = "An `Idempotency-Key` is ignored"
_EXPORT_CONTEXT: Final = "An export is created with an order or filter that does not exist, and fails later"
_CANCELED: Final = "A job canceled before it has run can end `failed`"
_CANCEL_FAILED: Final = "A failed job can be canceled, and stays `failed` with both times set"
_TIES: Final = "Jobs that are equal in the field they are ordered by come in no order"
_DOWNLOADS: Final = "A file is open to anyone who knows its address"
_NO_SUCH_FILE: Final = "A download URL is given for a key that does not exist"
_CSV_ERRORS: Final = "A file with a wrong column fails with the parser's words"
_DRY_RUN: Final = "`dry_run` is always false in a list"
_MORE_ROUTES: Final = "There is no retry"

Jobs = Mapping[str, Mapping[str, Any]]
"""Jobs as the recordings show them at last, by id."""


@dataclass(frozen=True)
class Deviation:
    """The rows, and the answer that is expected instead of the recorded one."""

    rows: tuple[str, ...]
    instead: Callable[[Answer, Jobs], Answer]


def _refused(row: str, message: str, *, status: int = 400, type: str = "invalid_data") -> Deviation:
    return Deviation((row,), lambda _answer, _jobs: Answer(status, _JSON, {"type": type, "message": message}))


def _no_route(path: str) -> Deviation:
    return _refused(_PAGES, f"Cannot {path}", status=404, type="not_found")


def _unauthorized(row: str) -> Deviation:
    return Deviation((row,), lambda _answer, _jobs: Answer(401, "text/plain; charset=utf-8", "Unauthorized"))


def _told(row: str, body: Callable[[Any, Jobs], Any]) -> Deviation:
    """The same but for the body."""
    return Deviation((row,), lambda answer, jobs: Answer(answer.status, answer.content_type, body(answer.body, jobs)))


def _corrected(*rows: str) -> Deviation:
    """The same list, but for what those rows say of single jobs."""

    def instead(answer: Answer, jobs: Jobs) -> Answer:
        listed = [_true(job, jobs, rows) for job in answer.body["batch_jobs"]]
        return Answer(answer.status, answer.content_type, answer.body | {"batch_jobs": listed})

    return Deviation(rows, instead)


def _listed(
    *endings: str, rows: Sequence[str], count: int = 13, limit: int = 1, fields: Collection[str] = ()
) -> Deviation:
    """These jobs instead, by the last letters of their ids. `fields`: and nothing else of them."""

    def instead(_answer: Answer, jobs: Jobs) -> Answer:
        listed = [
            {name: value for name, value in _true(job, jobs, rows).items() if not fields or name in fields}
            for ending in endings
            for job in jobs.values()
            if job["id"].endswith(ending)
        ]
        return Answer(200, _JSON, {"batch_jobs": listed, "count": count, "offset": 0, "limit": limit})

    return Deviation(tuple(rows), instead)


def _true(shown: Mapping[str, Any], jobs: Jobs, rows: Collection[str]) -> dict[str, Any]:
    """A job with the fields that it shows, as those rows have it."""
    ending = shown["id"][-6:]
    truth: dict[str, Any] = {}
    if _DRY_RUN in rows:
        truth["dry_run"] = ending not in _NO_DRY_RUNS
    if _FIELDS in rows:
        truth["status"] = jobs[shown["id"]]["status"]
    for row, fields in _ENDED_DIFFERENTLY.get(ending, {}).items():
        truth |= fields if row in rows else {}
    return {name: truth.get(name, value) for name, value in shown.items()}


def _the_job_of_the_key(told: Any, jobs: Jobs) -> Any:
    (first,) = (job_id for job_id in jobs if job_id.endswith("3WD346"))
    return {"batch_job": told["batch_job"] | {"id": first}}


NOT_REPLAYED: Final[Mapping[str, str]] = {
    "023-create-order-export": "there is no batch type order-export yet; the job it made is put into the database",
}
"""Exchanges that are left out, and why."""

_ENDED_DIFFERENTLY: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "RYT44V": {_CANCELED: {"status": "canceled", "failed_at": None, "result": None}},
    "D4F1WD": {
        _CANCEL_FAILED: {"canceled_at": None},
        _CSV_ERRORS: {
            "result": {
                "errors": [
                    'Line 1, column "Nonsense": unknown column "Nonsense"',
                    'The file cannot be imported: unknown column "Nonsense"',
                ]
            }
        },
    },
}
"""Jobs that end otherwise here, by the last letters of their ids: the row, and the fields it changes."""

_NO_DRY_RUNS: Final = ("RXV8V1", "D4F1WD")

_MALFORMED: Final = "the body is not valid JSON: "
_A_TIME: Final = "takes [lt], [gt], [lte] or [gte] and an ISO 8601 time, or null"
_JOB: Final = "/admin/batch-jobs/batch_01M7ZZZM6STD9T08REKNRXV8V1"

ANSWERED_DIFFERENTLY: Final[Mapping[str, Deviation]] = {
    # who is asking
    "012-auth-getsession-bad-api-token": _unauthorized(_BARE_401),
    "013-auth-getsession-bearer-api-token": _unauthorized(_BARE_401),
    "014-auth-getsession-bearer-garbage": _unauthorized(_BARE_401),
    "059-create-unauthenticated": _unauthorized(_BARE_401),
    "090-cancel-unauthenticated": _unauthorized(_BARE_401),
    "191-list-after-deletesession": _unauthorized(_BARE_401),
    "194-unknown-admin-route-unauthenticated": _unauthorized(_BARE_401),
    "322-uploads-delete-unauthenticated": _unauthorized(_BARE_401),
    "046-create-malformed-json-unauthenticated": _unauthorized(_STRANGERS),
    # making jobs
    "021-create-again-with-the-same-idempotency-key": _told(_IDEMPOTENCY, _the_job_of_the_key),
    "026-create-product-export-context-bad-order": _refused(
        _EXPORT_CONTEXT,
        "Products cannot be ordered by 'bogus'; but by id, created_at, updated_at, handle, title, status",
    ),
    "048-create-json-string": _refused(_PAGES, _MALFORMED + "expected value at line 1 column 1"),
    "049-create-json-null": _refused(_PAGES, "the body has to be a JSON object"),
    "054-create-json-latin1-charset": _refused(_PAGES, 'unsupported charset "LATIN1"', status=415),
    "056-create-body-over-100kb": _refused(_PAGES, "the body is larger than 102,400 bytes", status=413),
    "057-create-nul-in-context": _refused(_BAD_INPUT, "context.a has a NUL in it"),
    # one job
    "094-retrieve-id-null-byte": _refused(_BAD_INPUT, "id has a NUL in it"),
    "104-post-batch-job-id": _no_route(f"POST {_JOB}"),
    "107-get-confirm": _no_route(f"GET {_JOB}/confirm"),
    "108-unknown-subresource": _refused(
        _MORE_ROUTES, "Cannot retry a batch job that is completed: only a failed or canceled one", type="not_allowed"
    ),
    "109-confirm-malformed-json-body": _refused(_PAGES, _MALFORMED + "EOF while parsing an object at line 1 column 1"),
    # lists
    "102-retrieve-x-no-compression": _corrected(_DRY_RUN, _CANCELED, _CANCEL_FAILED, _CSV_ERRORS),
    "113-get-with-origin": _corrected(_DRY_RUN, _CANCELED),
    "114-list-default": _corrected(_DRY_RUN, _CANCELED, _CANCEL_FAILED, _CSV_ERRORS),
    "115-list-limit-offset": _corrected(_DRY_RUN),
    "116-list-limit-0": _refused(_LIMITS, "limit must be from 1 to 1000"),
    "117-list-limit-minus-1": _refused(_BAD_INPUT, "limit must be from 1 to 1000"),
    "118-list-offset-minus-1": _refused(_BAD_INPUT, "offset must be from 0 to 2147483647"),
    "120-list-limit-1-5": _corrected(_DRY_RUN, _CANCELED),
    "122-list-raw-limit-empty": _refused(_LIMITS, "limit must be from 1 to 1000"),
    "123-list-limit-100000": _refused(_LIMITS, "limit must be from 1 to 1000"),
    "126-list-type-two": _corrected(_DRY_RUN, _CANCELED),
    "129-list-raw-type-brackets": _corrected(_CANCEL_FAILED, _CSV_ERRORS),
    "132-list-id-array": _corrected(_DRY_RUN),
    "135-list-confirmed-at-null": _corrected(_DRY_RUN, _CANCELED),
    "136-list-confirmed-at-lt-now": _corrected(_DRY_RUN),
    "138-list-pre-processed-at-null": _corrected(_DRY_RUN, _CANCELED),
    "139-list-pre-processed-at-lt-now": _corrected(_DRY_RUN),
    "141-list-completed-at-null": _corrected(_DRY_RUN, _CANCELED),
    "142-list-completed-at-lt-now": _corrected(_DRY_RUN),
    "144-list-failed-at-null": _listed("RYT44V", rows=(_CANCELED, _DRY_RUN), count=10),
    "147-list-canceled-at-null": _listed("YYH3T0", rows=(_CANCEL_FAILED, _DRY_RUN), count=11),
    "148-list-canceled-at-lt-now": _listed("RYT44V", rows=(_CANCEL_FAILED, _CANCELED, _DRY_RUN), count=2),
    "157-list-raw-confirmed-at-bad-date": _refused(_BAD_INPUT, f"confirmed_at {_A_TIME}"),
    "158-list-raw-confirmed-at-unknown-operator": _refused(_BAD_INPUT, f"confirmed_at {_A_TIME}"),
    "162-list-raw-confirmed-at-empty": _refused(_BAD_INPUT, f"confirmed_at {_A_TIME}"),
    "164-list-raw-completed-at-null-upper": _refused(_BAD_INPUT, f"completed_at {_A_TIME}"),
    "167-list-order-type": _listed("VFFEGX", "RYT44V", rows=(_TIES, _CANCELED, _DRY_RUN), limit=2),
    "168-list-order-bogus": _refused(_BAD_INPUT, "order has no field 'bogus'"),
    "170-list-order-two": _refused(_BAD_INPUT, "order has no field 'type,created_at'"),
    "171-list-order-empty": _refused(_BAD_INPUT, "order has no field ''"),
    "173-list-expand-created-by-user": _corrected(_DRY_RUN, _CANCELED),
    "175-list-fields-id": _corrected(_FIELDS, _DRY_RUN, _CANCELED),
    "176-list-fields-status": _listed(
        "RYT44V", rows=(_FIELDS, _CANCELED, _DRY_RUN), fields=("id", "created_at", "status", "dry_run")
    ),
    "178-list-fields-dry-run": _corrected(_FIELDS, _CANCELED),
    "179-list-fields-and-expand": _corrected(_FIELDS, _DRY_RUN, _CANCELED),
    "188-list-by-cookie": _corrected(_DRY_RUN, _CANCELED),
    "189-list-by-bearer": _corrected(_DRY_RUN, _CANCELED),
    # files
    "310-uploads-createprotected-json-body": _refused(
        _BAD_INPUT, "the body must be multipart/form-data, with a boundary"
    ),
    "312-uploads-getpresigneddownloadurl": _told(
        _DOWNLOADS,
        lambda told, _jobs: {"download_url": told["download_url"] + "?expires=<seconds>&signature=<signature>"},
    ),
    "313-uploads-getpresigneddownloadurl-unknown-key": _refused(
        _NO_SUCH_FILE, "There is no file with the key nope.csv", status=404, type="not_found"
    ),
    "317-download-unknown-file": _refused(
        _PAGES, "There is no file with the key nope.csv", status=404, type="not_found"
    ),
}
