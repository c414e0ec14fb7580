"""One attempt at one job: its process, its slot, its row errors."""
