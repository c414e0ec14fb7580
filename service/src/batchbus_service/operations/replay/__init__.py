"""Operator event replay: past lifecycle events, published again from the jobs' histories."""
