"""batchbus, the service: workers, the HTTP API and the `batchbus` command."""

__all__ = ["__version__"]

__version__ = "0.1.0"
