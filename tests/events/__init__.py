"""Tests of batchbus-events."""
