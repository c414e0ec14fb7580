"""The OpenAPI document as a file, generated from the routes. It needs no broker and no database.

`python -m batchbus_service.http.openapi DIR` writes `openapi.json` into the folder; with `--check` it only says whether
the file is out of date, and exits 1 if it is. A running service answers `GET /openapi.json` with the same document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from batchbus_service.http.server.app import routed_app
from batchbus_service.http.server.openapi import Described

__all__ = ["document", "main"]


def document() -> Described:
    """The OpenAPI 3.1 document of every route that a service has."""
    return routed_app().openapi()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m batchbus_service.http.openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file is out of date")
    parser.add_argument("folder", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    path: Path = options.folder / "openapi.json"
    text = json.dumps(document(), indent=2, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    if options.check:
        sys.stderr.write(f"{path} is out of date: run python -m batchbus_service.http.openapi {options.folder}\n")
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
