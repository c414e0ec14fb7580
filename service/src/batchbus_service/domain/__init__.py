"""Jobs, and the decisions about them: no I/O, no clock, and no library but pydantic."""
