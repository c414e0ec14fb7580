"""Logs, traces, and tasks in the background."""
