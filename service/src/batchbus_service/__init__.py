"""The batchbus service: workers, the HTTP API and the `batchbus` command."""
