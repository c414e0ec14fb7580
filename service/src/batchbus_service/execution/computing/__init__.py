"""Processes for what strategies compute. Nothing is imported here, since the processes that are started import it."""
