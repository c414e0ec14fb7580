"""`batchbus new` writes a batch type to begin with, and a test that passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batchbus_strategies import Registry
from tests.cli.command import Command
from tests.patience import PATIENCE


@pytest.fixture
def author(tmp_path: Path) -> Command:
    """The command in a folder where nothing is."""
    return Command(tmp_path, {"BATCHBUS_STRATEGIES_DIR": "strategies.d"})


def run_test(folder: Path, test: str, mongo_url: str) -> str:
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHBUS_", "PYTEST_"))}
    settings = ["-o", "asyncio_mode=auto", "-o", "pythonpath=strategies.d"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *settings, test],
        cwd=folder,
        env={**ours, "BATCHBUS_TEST_MONGODB_URL": mongo_url},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_was_written_is_a_batch_type_and_its_test_passes(author: Command, mongo_url: str) -> None:
    folder = author.folder
    written = author.fine("new", "spare-part-import").out.splitlines()
    assert written == [
        "Wrote strategies.d/spare_part_import.py",
        "Wrote tests/test_spare_part_import.py",
        "Its test: pytest -o asyncio_mode=auto -o pythonpath=strategies.d tests/test_spare_part_import.py",
    ]
    assert " passed" in run_test(folder, "tests/test_spare_part_import.py", mongo_url)
    served = {entry.batch_type for entry in Registry.load(folder / "strategies.d").entries}
    assert {"spare-part-import", "spare-part-export"} <= served


@pytest.mark.parametrize("there", ["strategies.d/parts.py", "tests/test_parts.py"])
def test_nothing_is_written_over(author: Command, there: str) -> None:
    path = author.folder / there
    path.parent.mkdir()
    path.write_text("mine")
    refused = author("new", "parts")
    assert refused.code == 1
    assert f"{there} is there already" in refused.err
    assert [file.name for file in author.folder.rglob("*.py")] == [path.name]
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "batch_type", ["import", "none-import", "record-import", "3d-import", "json", "x" * 63, "class"]
)
def test_every_name_of_a_batch_type_makes_a_file_that_loads(author: Command, batch_type: str) -> None:
    author.fine("new", batch_type)
    registry = Registry.load(author.folder / "strategies.d")
    assert batch_type in {entry.batch_type for entry in registry.entries}
    for path in author.folder.rglob("*.py"):
        compile(path.read_text(), path.name, "exec")


def test_what_cannot_be_a_batch_type_is_refused(author: Command) -> None:
    refused = author("new", "Spare Parts")
    assert refused.code == 1
    assert list(author.folder.iterdir()) == []


def test_the_folder_is_the_one_that_the_service_looks_into(author: Command) -> None:
    author("new", "parts", "--tests", "checks", BATCHBUS_STRATEGIES_DIR="mine")
    assert sorted(path.relative_to(author.folder).as_posix() for path in author.folder.rglob("*.py")) == [
        "checks/test_parts.py",
        "mine/parts.py",
    ]
