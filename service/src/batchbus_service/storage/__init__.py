"""Everything that knows a database or a disk."""
