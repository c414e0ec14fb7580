"""Benchmarks: each prints a ratio against something measured in the same run. `make bench` runs them all."""
