"""Mutants: the product with one function replaced by a wrong one. Each has to be noticed by a test.

`make mutants` tries them all; `python -m tests.mutants NAME` tries one.
"""
