"""Live events: feeds, and server-sent events."""
