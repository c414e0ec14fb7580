"""What the shells complete: commands, options, ids and types."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.cli.command import Command
from tests.patience import PATIENCE


def _completed(command: Command, shell: str, line: str) -> str:
    """What the command answers to a shell in which somebody has typed that line."""
    environment = {
        "_BATCHBUS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": line.split(" ")[-1],
    }
    process = command.start(environment=environment)
    out, err = process.communicate(timeout=PATIENCE)
    assert err == ""
    return out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_and_completes_commands_ids_and_types(
    batchbus: Command, submit: Callable[..., str], shell: str
) -> None:
    job_id = submit("slow", "--dry-run")
    process = batchbus.start(environment={"_BATCHBUS_COMPLETE": f"source_{shell}"})
    script, _ = process.communicate(timeout=PATIENCE)
    assert f"complete_{shell}" in script and "batchbus" in script
    if found := shutil.which(shell):
        assert subprocess.run([found, "-n"], input=script, text=True, check=False, env=os.environ).returncode == 0

    assert "check-again" in _completed(batchbus, shell, "batchbus che")
    assert job_id in _completed(batchbus, shell, f"batchbus cancel {job_id[:-1]}")
    assert job_id in _completed(batchbus, shell, f"batchbus cancel batch_A {job_id[:-1]}")
    assert "product-import" in _completed(batchbus, shell, "batchbus submit product-i")


def test_without_a_service_nothing_is_proposed_and_nothing_said(folder_command: Command) -> None:
    assert _completed(folder_command, "bash", "batchbus cancel batch_").strip() == ""
