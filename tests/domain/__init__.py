"""Decisions about jobs, without any I/O."""
