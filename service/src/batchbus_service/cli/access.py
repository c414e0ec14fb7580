"""Commands about who may use the service: users add|list, tokens create|list|revoke."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote

import typer
from rich.markup import escape

from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.options import AsJson
from batchbus_service.cli.output import out, print_json
from batchbus_service.cli.refusals import Refusal
from batchbus_service.cli.tables import print_table
from batchbus_service.cli.times import Utc, local_time
from batchbus_service.domain.roles import Role, Scope

__all__ = ["add_user", "create_token", "list_tokens", "list_users", "revoke_token"]

_PAGE = ("limit", "1000")


def add_user(
    email: Annotated[str, typer.Argument(metavar="EMAIL")],
    role: Annotated[Role, typer.Option(help="Administrators see everyone's jobs, and add users.")] = Role.MEMBER,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password from standard input; without one, make a token.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Add a user."""
    body: Document = {"email": email, "role": role.value}
    if password_stdin:
        body["password"] = sys.stdin.readline().removesuffix("\n")
        if not body["password"]:
            raise Refusal("There is no password on standard input.")
    with connect() as client:
        added = client.post("/admin/users", body)
    if as_json:
        print_json(added)
        return
    user = added["user"]
    out().print(f"Added {escape(user['email'])} as a {user['role']} ({user['id']})")
    if not password_stdin:
        out().print(f"Make a token with:  batchbus tokens create --user {escape(user['email'])}")


def list_users(utc: Utc = False, as_json: AsJson = False) -> None:
    """List the users."""
    with connect() as client:
        listed = client.get("/admin/users", [_PAGE])
    if as_json:
        print_json(listed)
        return
    rows = [
        (escape(user["email"]), user["role"], user["id"], local_time(user["created_at"])) for user in listed["users"]
    ]
    print_table(("email", "role", "user", "added"), rows)
    _print_rest(listed, len(rows), "/admin/users")


def create_token(
    user: Annotated[str, typer.Option(metavar="EMAIL", help="Whose token it is.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it allows; may be repeated. Without any: to read and write the user's own jobs."),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(min=0, max=36500, help="After how many days it ends by itself: 90 unless given; 0 for never."),
    ] = None,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """Make an API token, which is shown this once."""
    body: Document = {"user": user}
    if scope:
        body["scopes"] = [one.value for one in scope]
    if days == 0:
        body["expires_at"] = None
    elif days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    with connect() as client:
        made = client.post("/admin/tokens", body)
    if as_json:
        print_json(made)
        return
    token = made["token"]
    ends = f", ends {local_time(token['expires_at'])}" if token["expires_at"] else ""
    out().print(f"{token['id']} allows {escape(token['email'])} {', '.join(token['scopes'])}; shown this once{ends}:")
    out().print(made["secret"], markup=False)


def list_tokens(
    user: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only those of this user.")] = None,
    utc: Utc = False,
    as_json: AsJson = False,
) -> None:
    """List the API tokens, those that are not valid any more included."""
    with connect() as client:
        listed = client.get("/admin/tokens", [_PAGE, *([("user", user)] if user else [])])
    if as_json:
        print_json(listed)
        return
    rows = [
        (
            token["id"],
            escape(token["email"] or token["user_id"]),
            ", ".join(token["scopes"]),
            local_time(token["created_at"]),
            local_time(token["last_used_at"], form="%Y-%m-%d %H:%M") or "never",
            _end(token),
        )
        for token in listed["tokens"]
    ]
    print_table(("token", "user", "scopes", "made", "last used", "ends"), rows)
    _print_rest(listed, len(rows), "/admin/tokens")


def revoke_token(
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id; `batchbus tokens list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Make an API token useless, at once and for good."""
    if token.startswith("bb_"):
        raise Refusal("That is a token itself, which no command takes: name it by its id.", "`batchbus tokens list`")
    with connect() as client:
        revoked = client.delete(f"/admin/tokens/{quote(token, safe='')}")
    if as_json:
        print_json(revoked)
    else:
        out().print(f"Revoked {escape(token)}")


def _end(token: Document) -> str:
    if token["revoked_at"]:
        return f"[red]revoked[/] {local_time(token['revoked_at'])}"
    if not token["expires_at"]:
        return ""
    over = datetime.fromisoformat(token["expires_at"]) <= datetime.now(UTC)
    return f"{'[red]ended[/] ' if over else ''}{local_time(token['expires_at'])}"


def _print_rest(listed: Document, shown: int, path: str) -> None:
    if listed["count"] > shown:
        out().print(f"{shown:,} of {listed['count']:,}; GET {path}?offset={shown} has more")
