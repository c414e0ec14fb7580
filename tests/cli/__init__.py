"""The `batchbus` command, as a real process beside a real service."""
