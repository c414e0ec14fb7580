"""Tests of batchbus-strategies."""
