"""Batch types: the contract for writing your own, and the built-in imports and exports."""
