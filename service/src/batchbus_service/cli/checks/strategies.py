"""Whether every batch type can be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batchbus_service.cli.checks.check import Check

if TYPE_CHECKING:
    from batchbus_service.domain.settings import Settings

__all__ = ["strategies"]


def strategies(settings: Settings) -> Check:
    """Whether every one can be loaded, and those that this process is to serve are among them."""
    from batchbus_strategies import Registry, RegistryError

    try:
        registry = Registry.load(settings.strategies_dir)  # and not a folder that one happens to stand in
    except RegistryError as error:
        return Check("strategies", False, "; ".join(error.errors), "Correct the files or packages that it names.")
    unknown = sorted(set(settings.worker_types or ()) - set(registry.strategies))
    if unknown and (settings.strategies_dir is not None or settings.strategies_folder is None):
        return Check(
            "strategies",
            False,
            f"BATCHBUS_WORKER_TYPES names types that nobody serves: {', '.join(unknown)}",
            f"There are: {', '.join(registry.strategies) or 'none'}",
        )
    message = ", ".join(registry.strategies) or "none"
    if settings.strategies_dir is None and settings.strategies_folder is not None:
        message += (
            f"; and those in {settings.strategies_folder}, which `batchbus up`, `serve` and `worker` load here. Name it in "
            "BATCHBUS_STRATEGIES_DIR to have them checked"
        )
    alone = [name for name, each in registry.strategies.items() if each.isolation or settings.isolation == "all"]
    if alone and not settings.embedded and settings.catalog_url is None:
        message += (
            f"; {', '.join(alone)} in processes of their own, which get BATCHBUS_MONGODB_URL, jobs and users included: "
            "BATCHBUS_CATALOG_URL gives them less"
        )
    return Check("strategies", True, message)
