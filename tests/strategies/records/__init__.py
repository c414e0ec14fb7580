"""Imports and exports of records that are declared."""
