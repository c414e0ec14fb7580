"""Every shell block of the documentation is run, in order, against a service that the page itself starts.

`sh` has to succeed, `sh refused` has to end with 1, `sh service` keeps running until the page ends. `python` is run as a
program; with the name of a file behind it, it is written there. Addresses that stand for somebody's own are replaced by
those of the tests' servers. Of `make demo` and `make test` only the targets are looked up: they have tests of their own.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.docs.pages import PAGES, ROOT, Block, blocks_of, name_of
from tests.environment import without_settings
from tests.patience import PATIENCE

_ON_RABBITMQ: Final = ("services.md", "production.md")


class Reader:
    """Somebody who types a page's commands, in one folder and one shell."""

    def __init__(self, folder: Path, replacements: Mapping[str, str], settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._settings = settings
        self._replacements = dict(replacements)
        self._state = folder / "shell"
        self._state.write_text("")
        self._services: list[subprocess.Popen[str]] = []
        (folder / ".venv").symlink_to(sys.prefix)

    def read(self, block: Block) -> None:
        match block.language, block.role:
            case "sh", "service":
                self._start(block)
            case "sh", _:
                self._run(block, expected=1 if block.role == "refused" else 0)
            case "python", None:
                self._run(block)
            case "python", name:
                target = self._folder / str(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)

    def leave(self) -> None:
        for service in reversed(self._services):
            os.killpg(service.pid, signal.SIGINT)
        for service in self._services:
            service.wait(PATIENCE)
            assert service.stdout
            service.stdout.close()

    def _run(self, block: Block, *, expected: int = 0) -> None:
        text = self._own(block.text)
        if block.language == "python":
            (self._folder / "program.py").write_text(text)
            text = "python program.py"
        text = re.sub(r"^make (\w+).*$", rf"make -n -C '{ROOT}' \1 > /dev/null", text, flags=re.M)
        # What one block exports is there in the next, as in a terminal.
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", f"source '{self._state}'\n{text}\nexport -p > '{self._state}'"],
            cwd=self._folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == expected, f"{block}\n{done.stdout}\n{done.stderr}"

    def _start(self, block: Block) -> None:
        command = re.sub(r"^make up.*$", "batchbus up", self._own(block.text), flags=re.M)
        log = (self._folder / f"service-{len(self._services)}.log").open("w")
        process = subprocess.Popen(
            ["bash", "-eu", "-c", f"source '{self._state}'; {command}"],
            cwd=self._folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()
        self._services.append(process)
        assert process.stdout
        for line in process.stdout:
            if address := re.search(r"http://\S+?(?=;|\s|$)", line):
                self._replacements["http://127.0.0.1:8000"] = address[0]
            if token := re.search(r"bb_\S+", line):
                self._replacements["THE_TOKEN"] = token[0]
            if "Ctrl-C stops it" in line:
                return
        raise AssertionError(f"{block}\n{(self._folder / log.name).read_text()}")

    def _own(self, text: str) -> str:
        for placeholder, ours in self._replacements.items():
            text = text.replace(placeholder, ours)
        return text

    def _environment(self) -> dict[str, str]:
        ours = without_settings()
        bin_folder = str(Path(sys.executable).parent)
        path = f"{bin_folder}{os.pathsep}{ours['PATH']}"
        return {**ours, "PATH": path, "BATCHBUS_HTTP_PORT": "0", **self._settings}


@contextmanager
def _reading(folder: Path, replacements: Mapping[str, str], settings: Mapping[str, str]) -> Iterator[Reader]:
    reader = Reader(folder, replacements, settings)
    try:
        yield reader
    finally:
        reader.leave()


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in _ON_RABBITMQ], ids=name_of)
def test_every_command_of_a_page_runs(page: Path, tmp_path: Path, mongo_url: str) -> None:
    settings = {"BATCHBUS_TEST_MONGODB_URL": mongo_url}  # for what a page has pytest do; `batchbus up` starts its own
    with _reading(tmp_path, {}, settings) as reader:
        for block in blocks_of(page):
            if block.language == "sh" or block.role:
                reader.read(block)


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("amqp_tools")
@pytest.mark.parametrize("name", ["README.md", *_ON_RABBITMQ])
def test_every_command_of_a_page_runs_on_rabbitmq(
    name: str, tmp_path: Path, amqp_vhost_url: str, mongo_url: str, database_name: str
) -> None:
    (tmp_path / "files").mkdir(mode=0o700)  # as whoever runs batchbus in production has made it
    replacements = {
        "amqp://localhost": amqp_vhost_url,
        "mongodb://localhost": mongo_url,
        "file:///srv/batchbus": (tmp_path / "files").as_uri(),
    }
    settings = {"BATCHBUS_AMQP_URL": amqp_vhost_url, "BATCHBUS_MONGODB_DATABASE": database_name[-38:]}
    with _reading(tmp_path, replacements, settings) as reader:
        for block in blocks_of(next(page for page in PAGES if page.name == name)):
            reader.read(block)


def test_no_page_shows_commands_in_another_way() -> None:
    for page in PAGES:
        for block in blocks_of(page):
            assert block.language in ("sh", "python", "text", "mermaid"), str(block)
