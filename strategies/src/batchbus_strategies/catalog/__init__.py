"""The commerce documents that the built-in strategies import and export, and the rules they keep."""
