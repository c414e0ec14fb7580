"""The main job on the embedded default, told as a story: `make demo`, or `python -m batchbus_service.app.demo`.

Everything that it does, it does with the `batchbus` command, and shows how.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from batchbus_service.app.samples.products import write_products
from batchbus_service.cli.app import app
from batchbus_service.cli.client import Document, connect
from batchbus_service.cli.output import complain, out
from batchbus_service.cli.refusals import Refusal

__all__ = ["main"]

_BATCH_TYPES: Final = Path(__file__).parent / "samples" / "batch_types"
_ROWS: Final = 2000
_STOP_SECONDS: Final = 60


class DemoFailed(Exception):
    """Something did not come out as it must."""


def main() -> int:
    """Returns the exit code."""
    begun = time.monotonic()
    _say("[bold]batchbus: a product file goes into a shop, and comes out again[/]")
    with TemporaryDirectory(prefix="batchbus-demo-") as folder, contextlib.chdir(folder):
        _settings_for(Path(folder))
        try:
            with _service(Path(folder)):
                _story()
        except (DemoFailed, Refusal) as error:
            complain(error if isinstance(error, Refusal) else Refusal(str(error)))
            return 1
    _say(f"\n[bold green]Done[/] in {time.monotonic() - begun:.0f} s. `make up` starts a service that stays.")
    return 0


def _story() -> None:
    _chapter(2, "Something to work on", "A batch type is a Python class in a folder. This one furnishes an empty shop.")
    _batchbus("submit", "demo-shop", "--watch")

    write_products(Path("products.csv"), rows=_ROWS)
    _chapter(
        3,
        "What would this file do?",
        f"products.csv has {_ROWS:,} rows. A dry run reads all of it, works out a plan, and changes nothing.",
    )
    _batchbus("submit", "product-import", "--file", "products.csv", "--dry-run", "--watch")
    planned = _newest_job()
    plan = planned["result"]["operations"]
    _say(
        f"[bold]The plan:[/] {plan['PRODUCT_CREATE']:,} products to create and {plan['PRODUCT_UPDATE']:,} to update, "
        f"{plan['VARIANT_CREATE']:,} variants to create and {plan['VARIANT_UPDATE']:,} to update."
    )

    _chapter(
        4, "Do it", "The job goes on where it rested. These events are on the message bus, for every service to see."
    )
    _batchbus("confirm", planned["id"], "--watch")

    _chapter(5, "What came of it", "The job keeps its result and its whole history.")
    _batchbus("show", planned["id"])
    if _newest_job()["status"] != "completed":
        raise DemoFailed("the import did not complete")

    _chapter(6, "And out again", "The catalogue is exported, and the export is fetched.")
    _batchbus("submit", "product-export", "--watch")
    _batchbus("show", _newest_job()["id"], "--save", "export.csv")

    _chapter(7, "Is it the same?", "An import of the export has to find nothing to do.")
    _batchbus("submit", "product-import", "--file", "export.csv", "--dry-run", "--watch")
    changes = sum(_newest_job()["result"]["operations"].values())
    if changes:
        raise DemoFailed(f"importing the export again would make {changes:,} changes")
    _say("[bold]The plan:[/] zero changes.")


def _settings_for(folder: Path) -> None:
    """The embedded default with a data directory of its own, whatever else this machine is set up for."""
    for name in [name for name in os.environ if name.startswith("BATCHBUS_")]:
        del os.environ[name]
    os.environ |= {
        "BATCHBUS_DATA_DIR": str(folder / "data"),
        "BATCHBUS_HTTP_PORT": "0",
        "BATCHBUS_STRATEGIES_DIR": str(_BATCH_TYPES),
        "BATCHBUS_PROGRESS_INTERVAL_SECONDS": "0.1",
    }


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[None]:
    """`batchbus up` beside the demo; its log is shown if something goes wrong."""
    _chapter(1, "A service", "No broker and no database to install: both are embedded, in a folder of their own.")
    _say("$ batchbus up")
    log = folder / "service.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchbus_service.cli", "up"], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        first = process.stdout.readline().strip()
        if not first:
            raise DemoFailed("the service did not start")
        _say(first)
        yield
    except BaseException:
        _say(f"\nThe service's log:\n{log.read_text()[-4000:]}")
        raise
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)
        process.stdout.close()


def _batchbus(*arguments: str) -> None:
    """Run a command as if it had been typed, but for the start of another Python."""
    _say(f"$ {shlex.join(('batchbus', *arguments))}")
    app(list(arguments), standalone_mode=False)


def _newest_job() -> Document:
    with connect() as client:
        job: Document = client.get("/admin/batch-jobs", [("limit", "1")])["batch_jobs"][0]
    return job


def _chapter(number: int, title: str, text: str) -> None:
    _say(f"\n[bold cyan]{number}. {title}[/]\n{text}")


def _say(text: str) -> None:
    out().print(text)


if __name__ == "__main__":
    sys.exit(main())
