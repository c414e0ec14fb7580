"""Databases, files and clocks. Each port has one contract suite, run against every implementation."""
