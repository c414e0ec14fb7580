"""Commands about who may use the service."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from tests.cli.command import Command


def test_a_client_command_starts_without_what_the_service_takes() -> None:
    heavy = {"batchbus_service.app", "batchbus_service.http", "fastapi", "motor", "pydantic"}
    script = f"import sys, batchbus_service.cli.app; print({heavy} & sys.modules.keys())"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "set()\n"


def test_a_user_with_a_token_reads_and_writes_jobs_until_it_is_revoked(batchbus: Command) -> None:
    added = batchbus.fine("users", "add", "ann@example.com")
    assert added.out.startswith("Added ann@example.com as a member (usr_")
    assert "batchbus tokens create --user ann@example.com" in added.out
    told = batchbus.fine("tokens", "create", "--user", "ann@example.com").out.splitlines()
    assert "allows ann@example.com jobs:read, jobs:write; shown this once" in told[0]
    token_id, secret = told[0].split()[0], told[1]

    assert batchbus("submit", "slow", **batchbus.with_token(secret)).code == 0
    refused = batchbus("users", "list", **batchbus.with_token(secret))
    assert (refused.code, "needs the scope operator" in refused.err) == (1, True)

    assert batchbus.fine("tokens", "revoke", token_id).out == f"Revoked {token_id}\n"
    assert batchbus("jobs", **batchbus.with_token(secret)).code == 1
    (line,) = [line for line in batchbus.fine("tokens", "list").out.splitlines() if token_id in line]
    assert "ann@example.com" in line and "revoked" in line
    assert secret not in batchbus.fine("tokens", "list", "--json").out


def test_programs_get_json(batchbus: Command) -> None:
    user = batchbus.fine("users", "add", "bob@example.com", "--role", "admin", "--json").json["user"]
    assert (user["email"], user["role"]) == ("bob@example.com", "admin")
    made = batchbus.fine(
        *("tokens", "create", "--user", "bob@example.com", "--scope", "operator", "--days", "30", "--json")
    ).json
    assert (made["token"]["user_id"], made["token"]["scopes"]) == (user["id"], ["operator"])
    assert made["token"]["expires_at"] and made["secret"].startswith("bb_")
    tokens = batchbus.fine("tokens", "list", "--user", "bob@example.com", "--json").json["tokens"]
    assert [token["id"] for token in tokens] == [made["token"]["id"]]
    assert user in batchbus.fine("users", "list", "--json").json["users"]
    revoked = batchbus.fine("tokens", "revoke", made["token"]["id"], "--json").json
    assert revoked == {"id": made["token"]["id"], "object": "token", "deleted": True}


def test_a_password_comes_from_standard_input_and_is_not_told(
    batchbus: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a password with spaces \n"))
    added = batchbus.fine("users", "add", "carl@example.com", "--password-stdin")
    assert "password" not in added.out
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    refused = batchbus("users", "add", "dora@example.com", "--password-stdin")
    assert (refused.code, "8 to 1024 characters" in refused.err) == (1, True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert "no password on standard input" in batchbus("users", "add", "dora@example.com", "--password-stdin").err


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("users", "add", "nobody"), 1, "no email address"),
        (("users", "add", "ed@example.com", "--role", "king"), 2, "king"),
        (("users", "add"), 2, "EMAIL"),
        (("tokens", "create"), 2, "--user"),
        (("tokens", "create", "--user", "nobody@example.com"), 6, "nobody@example.com was not found"),
        (("tokens", "create", "--user", "admin@localhost", "--scope", "everything"), 2, "everything"),
        (("tokens", "revoke", "tok_none"), 6, "tok_none was not found"),
        (("tokens", "revoke", "bb_secret"), 1, "name it by its id"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    batchbus: Command, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    refused = batchbus(*arguments)
    assert (refused.code, reason in refused.err) == (code, True), refused.err
