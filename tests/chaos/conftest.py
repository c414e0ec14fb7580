"""The installation that the engine's tests have."""

from tests.engine.conftest import installation

__all__ = ["installation"]
