"""Imports run in the same kind of installation as the tests of the engine."""

from tests.engine.conftest import installation

__all__ = ["installation"]
