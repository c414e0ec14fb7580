"""Operator event replay."""
