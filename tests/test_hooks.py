"""What is checked at a commit is what `make check` checks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_a_commit_is_held_to_every_step_of_make_check() -> None:
    recipe = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe
    steps = {line.strip().lstrip("@").replace("$(PY)", ".venv/bin/python") for line in recipe[1].splitlines()}
    config = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    hooks = set(re.findall(r"^ +entry: (.+)$", config, re.M))
    assert hooks == {step.removesuffix(" .") for step in steps}, (
        "the hooks and the steps of make check are not the same"
    )
    assert set(re.findall(r"repo: (.+)", config)) == {"local"}, "a hook from elsewhere would have to be fetched"
