"""The plugin of pytest, as an author's own tests use it: in a run of its own, without anything of this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient

from tests.patience import PATIENCE

TESTS = """
import pytest
from batchbus_strategies import BatchStrategy, AnyContext


class Notes(BatchStrategy[AnyContext]):
    identifier = "notes-strategy"
    batch_type = "notes"

    def process(self, run):
        with run.sync.files.write("notes") as file:
            file.write(b"noted")
        run.sync.catalog["notes"].insert_one({"_id": run.context.model_extra["id"]})


@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_job_has_what_it_needs(attempt, batchbus_job, batchbus_database, batchbus_files):
    assert await batchbus_database.list_collection_names() == []
    assert batchbus_files.all_keys() == []
    await batchbus_job(Notes(), {"id": 1}).process()
    assert await batchbus_database["notes"].find_one({}) == {"_id": 1}
    assert batchbus_files.get("notes") == b"noted"


def test_a_plain_def_uses_the_database_too(batchbus_database):
    assert batchbus_database.delegate["notes"].count_documents({}) == 0
    print("database:", batchbus_database.name)
"""


def run_tests(folder: Path, environment: Mapping[str, str]) -> str:
    (folder / "test_notes.py").write_text(TESTS)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHBUS_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "."],
        cwd=folder,
        env={**ours, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    return done.stdout


@pytest.mark.embedded
def test_a_server_is_started_for_the_tests_and_ends_with_them(tmp_path: Path) -> None:
    """The end is part of it: the run of tests waits for its server."""
    run_tests(tmp_path, {})


async def test_a_server_that_is_there_is_used_and_left_as_it_was(tmp_path: Path, mongo_url: str) -> None:
    said = run_tests(tmp_path, {"BATCHBUS_TEST_MONGODB_URL": mongo_url})
    name = said.partition("database: ")[2].split()[0]
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo_url)
    assert name not in await client.list_database_names()
    client.close()
