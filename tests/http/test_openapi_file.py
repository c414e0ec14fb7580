"""The committed OpenAPI document: up to date, and checked in a way that notices when it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from schemathesis.specs.openapi import definitions

from batchbus_service.http.openapi import document, main

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_document_is_up_to_date() -> None:
    assert main(["--check", str(DOCS)]) == 0


def test_a_document_that_is_missing_or_old_is_told_with_what_to_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0

    path = tmp_path / "openapi.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["paths"]["/admin/batch-jobs"]
    path.write_text(json.dumps(document), encoding="utf-8")
    capsys.readouterr()
    assert main(["--check", str(tmp_path)]) == 1
    assert f"run python -m batchbus_service.http.openapi {tmp_path}" in capsys.readouterr().err

    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document()


def test_the_document_is_one_of_openapi_3_1(described: dict[str, Any]) -> None:
    assert described["openapi"].startswith("3.1")
    definitions.OPENAPI_31_VALIDATOR.validate(described)
    assert not definitions.OPENAPI_31_VALIDATOR.is_valid({**described, "paths": []})
    for schema in described["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def _operations(described: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, each) for path, methods in described["paths"].items() for each in methods.values()]


def test_every_route_says_who_may_call_it_and_public_ones_that_everyone_may(described: dict[str, Any]) -> None:
    schemes = described["components"]["securitySchemes"].keys()
    for path, operation in _operations(described):
        named = {name for way in operation["security"] for name in way}
        public = not path.startswith("/admin") or operation["operationId"] in ("auth_sign_in", "auth_bearer_token")
        assert named == (set() if public else schemes), operation["operationId"]


def test_what_tools_ask_of_a_document_is_there(described: dict[str, Any]) -> None:
    assert described["servers"][0]["url"] == "/", "the service that the document comes from"
    assert described["info"]["license"]["identifier"] == "Apache-2.0"
    operations = [operation for _, operation in _operations(described)]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert {tag for operation in operations for tag in operation["tags"]} == {tag["name"] for tag in described["tags"]}
    for operation in operations:
        assert operation.get("description"), operation["operationId"]
        assert any(status.startswith("4") for status in operation["responses"]), operation["operationId"]
