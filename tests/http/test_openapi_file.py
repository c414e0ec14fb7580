"""The committed OpenAPI document: up to date, and checked in a way that notices when it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchbus_service.http.openapi import main

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
