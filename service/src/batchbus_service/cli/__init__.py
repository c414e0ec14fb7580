"""The `batchbus` command. Its parts are imported only when they are needed, so that client commands start quickly."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """What the console script calls."""
    from batchbus_service.cli.app import app
    from batchbus_service.cli.output import complain
    from batchbus_service.cli.refusals import Refusal

    try:
        app()
    except Refusal as refusal:
        complain(refusal)
        sys.exit(refusal.code)
