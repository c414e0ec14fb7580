"""One attempt at one job: its lease, its heartbeat, and the strategy at work."""
