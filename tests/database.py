"""The process of the embedded database that this one has started, for tests that freeze and kill it."""

import psutil

from batchbus_service.storage.mongo import embedded

__all__ = ["embedded_process"]


def embedded_process() -> psutil.Process:
    """The embedded server behind `mongo_url`."""
    (server,) = (child for child in psutil.Process().children() if embedded.__name__ in child.cmdline())
    return server
