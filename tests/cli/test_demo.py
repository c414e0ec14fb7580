"""The demo, as a newcomer runs it."""

from __future__ import annotations

import subprocess
import sys

from tests.patience import PATIENCE


def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "batchbus_service.app.demo"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    story = told.stdout
    for step in (
        "batchbus is ready at",
        "$ batchbus submit product-import --file products.csv --dry-run --watch",
        "products to create and 1 to update",
        "batch.confirmed",
        "batch.processing",
        "batch.completed",
        "of 2,805 done",
        "Saved export.csv",
        "The plan: zero changes.",
        "Done in",
    ):
        assert step in story, story
        story = story.partition(step)[2]
    assert "Traceback" not in told.stderr
