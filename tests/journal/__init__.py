"""How a change becomes an event: the outbox, and which processes live."""
