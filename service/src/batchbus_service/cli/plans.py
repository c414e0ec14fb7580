"""What a job would do and what became of its records, as tables: `batchbus show JOB --plan`, `--outcome`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, Literal

from rich.markup import escape

from batchbus_service.cli.client import Client, Document, job_path
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.tables import print_table

__all__ = ["save_rows", "show_rows"]

What = Literal["plan", "outcome"]

_KIND_OF: Final[dict[What, str]] = {"plan": "kind", "outcome": "what"}
_COLORS: Final = {
    "create": "green",
    "created": "green",
    "update": "yellow",
    "updated": "yellow",
    "delete": "magenta",
    "deleted": "magenta",
    "error": "red",
    "refused": "red",
    "conflict": "red",
}
_LONGEST: Final = 60
"""Characters of a value."""


def show_rows(
    client: Client, job_id: str, what: What, *, kind: str | None, find: str | None, limit: int, as_json: bool
) -> None:
    """The first of the rows that are asked for. Raises `Refusal`."""
    page = client.get(f"{job_path(job_id)}/{what}", [*_asked(what, kind, find), ("limit", str(limit))])
    if as_json:
        print_json(page)
        return
    rows: list[Document] = page[what]
    if counts := page["counts"]:
        out().print(", ".join(f"{number:,} {name}" for name, number in counts.items() if number))
    cells = [_plan_row(row) if what == "plan" else _outcome_row(row) for row in rows]
    print_table(("line", "key", what, "", ""), cells, prose=("",)) if rows else out().print("There are no such rows.")
    if page["count"] > len(rows):
        saved = f"batchbus show {job_id} --{what}-file FILE.csv"
        out().print(f"{len(rows):,} of {page['count']:,}; more with --limit, all with  {saved}")
    if page.get("plan_digest"):
        out().print(f"plan digest {page['plan_digest']}", soft_wrap=True)


def save_rows(client: Client, job_id: str, what: What, target: Path, *, kind: str | None, find: str | None) -> None:
    """All of the rows that are asked for, in a file whose ending says in which form. Raises `Refusal`."""
    form = target.suffix.lower().removeprefix(".")
    if form not in ("csv", "jsonl"):
        raise Refusal(f"{target} has to end in .csv or .jsonl.")
    client.save(f"{job_path(job_id)}/{what}/download", target, [("format", form), *_asked(what, kind, find)])


def _asked(what: What, kind: str | None, find: str | None) -> list[tuple[str, str]]:
    asked = ((_KIND_OF[what], kind), ("q", find))
    return [(name, value) for name, value in asked if value is not None]


def _plan_row(row: object) -> tuple[str, ...]:
    if not isinstance(row, dict):
        return ("", "", "", escape(_shown(row)), "")
    changes = "; ".join(_changes(row))
    return (str(row.get("line", "")), escape(_key(row)), _colored(row.get("op")), escape(changes), "")


def _changes(row: Document) -> list[str]:
    match row:
        case {"op": "update", "changes": dict() as changes}:
            texts = [f"{path} {_one(change, 'old')} → {_one(change, 'new')}" for path, change in changes.items()]
            return texts + _errors(row.get("left_out", []))
        case {"op": "error", "errors": list() as errors}:
            return _errors(errors)
        case {"op": "create" | "reference", "document": dict() as document}:
            return [f"{name} {_shown(value)}" for name, value in document.items()]
        case {"op": "unchanged" | "delete"}:
            return []
        case _:
            return [f"{name} {_shown(value)}" for name, value in row.items() if name not in ("op", "line", "key")]


def _errors(errors: list[Document]) -> list[str]:
    return [f"{error.get('column') or 'row'}: {error.get('message')}" for error in errors]


def _one(change: Document, name: str) -> str:
    return _shown(change[name]) if name in change else "nothing"


def _outcome_row(row: Document) -> tuple[str, ...]:
    reason, id_ = row.get("reason") or "", row.get("id")
    return (
        str(row.get("line", "")),
        escape(_key(row)),
        _colored(row.get("what")),
        escape(str(id_ or "")),
        escape(reason),
    )


def _key(row: Document) -> str:
    key = row.get("key", "")
    return " ".join(map(str, key)) if isinstance(key, list) else str(key)


def _colored(word: object) -> str:
    return f"[{_COLORS.get(str(word), 'default')}]{escape(str(word))}[/]" if word else ""


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
